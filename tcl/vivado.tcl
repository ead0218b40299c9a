# Vivado on the RTL that HLS wrote, out of context: synthesis, then place and route.
#     vivado -mode batch -notrace -source .../tcl/vivado.tcl
# Only paths between registers are timed: the ports have no delays.

source [file join [file dirname [file normalize [info script]]] flow_vars.tcl]

proc write_reports {stage} {
    set stem [file join $::reports $::top]
    report_utilization -file ${stem}_utilization_$stage.rpt
    report_utilization -hierarchical -file ${stem}_hierarchy_$stage.rpt
    report_timing_summary -file ${stem}_timing_$stage.rpt
    report_power -file ${stem}_power_$stage.rpt
    write_verilog -force -mode funcsim ${stem}_$stage.v
    write_checkpoint -force ${stem}_$stage.dcp
}

if {[glob -nocomplain [file join $sources *.v] [file join $sources *.vhd]] eq ""} {
    fail "no RTL in $sources: run C-synthesis first, or set HAWQ_SOURCES"
}
file mkdir $reports
set constraints [open [file join $reports clock.xdc] w]
puts $constraints "create_clock -name $clock_port -period $clock_period\
    \[get_ports $clock_port\]"
close $constraints

set_param general.maxThreads $threads
add_files $sources
read_xdc -mode out_of_context [file join $reports clock.xdc]

puts "hawq: step synthesis"
synth_design -top $top -part $part -mode out_of_context
write_reports synth
if {$implement} {
    puts "hawq: step place and route"
    opt_design
    place_design
    phys_opt_design
    route_design
    write_reports routed
}
exit
