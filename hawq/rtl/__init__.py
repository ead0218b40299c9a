"""From the integer graph to Verilog and VHDL by distributed arithmetic."""
