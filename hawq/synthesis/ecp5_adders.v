// Adders on the carry chains of ECP5, for Yosys' techmap.
//
// A slot of the chain in front of bit 0 makes the carry that enters, where that is a
// constant: it ignores CIN, so that nextpnr puts no cell there. Carries that leave come
// from the sum (a = b: a, otherwise not the sum), so that none leaves the chain.
// Narrow adders, and carries that are no constants, are left to Yosys' own map.

(* techmap_celltype = "$alu" *)
module ecp5_adder (A, B, CI, BI, X, Y, CO);
  parameter A_SIGNED = 0;
  parameter B_SIGNED = 0;
  parameter A_WIDTH = 1;
  parameter B_WIDTH = 1;
  parameter Y_WIDTH = 1;
  parameter _TECHMAP_CONSTMSK_CI_ = 0;
  parameter _TECHMAP_CONSTVAL_CI_ = 0;

  (* force_downto *) input [A_WIDTH-1:0] A;
  (* force_downto *) input [B_WIDTH-1:0] B;
  input CI, BI;
  (* force_downto *) output [Y_WIDTH-1:0] X, Y, CO;

  wire _TECHMAP_FAIL_ = Y_WIDTH <= 4 || _TECHMAP_CONSTMSK_CI_ == 0;

  localparam CELLS = (Y_WIDTH + 2) / 2;
  localparam CARRY = _TECHMAP_CONSTVAL_CI_ ? 16'h000F : 16'h0000;
  localparam SUM = 16'b1001_0110_1010_1010;

  (* force_downto *) wire [Y_WIDTH-1:0] a, b;
  \$pos #(.A_SIGNED(A_SIGNED), .A_WIDTH(A_WIDTH), .Y_WIDTH(Y_WIDTH)) wide_a (
    .A(A), .Y(a));
  \$pos #(.A_SIGNED(B_SIGNED), .A_WIDTH(B_WIDTH), .Y_WIDTH(Y_WIDTH)) wide_b (
    .A(B), .Y(b));

  (* force_downto *) wire [2*CELLS-1:0] left = {a, 1'b0};
  (* force_downto *) wire [2*CELLS-1:0] right = {b, 1'b0};
  (* force_downto *) wire [2*CELLS-1:0] sum;
  wire [CELLS:0] carry;
  assign carry[0] = 1'bx;

  genvar i;
  generate
    for (i = 0; i < CELLS; i = i + 1) begin : slice
      CCU2C #(
        .INIT0(i == 0 ? CARRY : SUM), .INIT1(SUM), .INJECT1_0("NO"), .INJECT1_1("NO")
      ) two (
        .CIN(carry[i]), .COUT(carry[i + 1]),
        .A0(left[2 * i]), .B0(right[2 * i]), .C0(BI), .D0(1'b1), .S0(sum[2 * i]),
        .A1(left[2 * i + 1]), .B1(right[2 * i + 1]), .C1(BI), .D1(1'b1),
        .S1(sum[2 * i + 1]));
    end
  endgenerate

  (* force_downto *) wire [Y_WIDTH-1:0] other = BI ? ~b : b;
  assign Y = sum[Y_WIDTH:1];
  assign X = a ^ other;
  assign CO = (a & other) | ((a | other) & ~Y);
endmodule
