# Every variable of the scripts in this folder: name, default, meaning.
# The environment sets them, in capitals and with HAWQ_ before the name:
#     HAWQ_STEPS="csim csynth" vitis_hls -f .../tcl/vitis_hls.tcl
# The scripts run in the folder of a project. What hls4ml wrote to project.tcl there
# (name, part, clock) are the defaults.

proc flow_variable {name default meaning} {
    upvar #0 $name value
    set key HAWQ_[string toupper $name]
    if {[info exists ::env($key)]} {set default $::env($key)}
    set value $default
    puts [format "%-18s %-32s # %s" $name $value $meaning]
}

proc fail {message} {
    puts "ERROR: \[hawq\] $message"
    exit 1
}

array set hls4ml {project_name network backend "" part "" clock_period 5.0
    clock_uncertainty 12.5% version 1.0.0 maximum_size 4096}
foreach name [array names hls4ml] {set $name $hls4ml($name)}
if {[file exists project.tcl]} {source project.tcl}
set wrapped [expr {$backend eq "vivadoaccelerator" ? "_axi" : ""}]

flow_variable project_name $project_name        "project of HLS: <name>_prj"
flow_variable top $project_name$wrapped         "top function, top module"
flow_variable part $part                        "part, as the tool spells it"
flow_variable clock_period $clock_period        "target clock period, ns"
flow_variable clock_uncertainty $clock_uncertainty "margin of HLS, ns or percent"

# Vitis HLS
flow_variable steps "csim csynth cosim export"  "steps of HLS to run, in this order"
flow_variable flags "-std=c++0x"                "flags of the C++ compiler"
flow_variable version $version                  "version of the exported IP"
flow_variable maximum_size $maximum_size        "largest array that is partitioned"
flow_variable export_flow "none"                "Vivado after export: none, syn or impl"

# Vivado
set verilog [file join ${project_name}_prj solution1 syn verilog]
flow_variable sources $verilog                  "folder of the RTL"
flow_variable reports "vivado_reports"          "folder of reports and netlists"
flow_variable clock_port "ap_clk"               "the clock's port"
flow_variable implement 1                       "0 stops after synthesis"
flow_variable threads 4                         "threads of Vivado"

if {$part eq ""} {fail "no part: set HAWQ_PART, or run in a project of hls4ml"}
