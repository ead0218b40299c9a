// Carries one after the other, as FPGAs chain them: the two sides of a proof look alike.
(* techmap_celltype = "$lcu" *)
module ripple (P, G, CI, CO);
  parameter WIDTH = 1;
  (* force_downto *) input [WIDTH-1:0] P, G;
  input CI;
  (* force_downto *) output [WIDTH-1:0] CO;
  wire [WIDTH:0] carry = {G | (P & carry[WIDTH-1:0]), CI};
  assign CO = carry[WIDTH:1];
endmodule
