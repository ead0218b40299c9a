# Vitis HLS, or Vivado HLS, on the project that hls4ml wrote. Run it in that folder:
#     vitis_hls -f .../tcl/vitis_hls.tcl        (2024.2 and later:
#     vitis-run --mode hls --tcl .../tcl/vitis_hls.tcl)

source [file join [file dirname [file normalize [info script]]] flow_vars.tcl]

proc step_csim {} {csim_design}

proc step_csynth {} {csynth_design}

# RTL_SIM makes the test bench write its results beside those of C-simulation.
proc step_cosim {} {
    add_files -tb ${::project_name}_test.cpp -cflags "$::flags -DRTL_SIM"
    cosim_design -trace_level none
    set results {}
    foreach log {csim_results.log rtl_cosim_results.log} {
        if {![file exists tb_data/$log]} {return}
        set file [open tb_data/$log]
        lappend results [read $file]
        close $file
    }
    if {[lindex $results 0] ne [lindex $results 1]} {
        error "tb_data: the RTL's results differ from those of C-simulation"
    }
}

proc step_export {} {
    set flow [expr {$::export_flow eq "none" ? "" : "-flow $::export_flow"}]
    export_design -format ip_catalog -version $::version {*}$flow
}

set reset [expr {"csynth" in $steps ? "-reset" : ""}]
file mkdir tb_data
open_project {*}$reset ${project_name}_prj
set_top $top
foreach unit [lsort -unique [list $project_name $top]] {
    add_files firmware/$unit.cpp -cflags $flags
}
add_files -tb ${project_name}_test.cpp -cflags $flags
add_files -tb firmware/weights
add_files -tb tb_data
open_solution {*}$reset solution1
catch {config_array_partition -maximum_size $maximum_size}
config_compile -name_max_length 80
set_part $part
config_schedule -enable_dsp_full_reg=false
create_clock -period $clock_period -name default
set_clock_uncertainty $clock_uncertainty default

foreach step $steps {
    if {[info procs step_$step] eq ""} {fail "no step $step: csim csynth cosim export"}
    puts "hawq: step $step"
    if {[catch step_$step message]} {fail "step $step: $message"}
}
exit
