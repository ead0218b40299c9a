// Valid and ready around a pipeline that never stops.
//
// The pipeline (a network: STAGES registers in a row, a new sample every clock, no reset
// and no enable) stays as it was verified. A shift register follows its samples. Results
// that the reader cannot take yet wait in a store, and a sample is let in only if there
// is room for its result. This costs a small memory of DEPTH words and a few counters;
// an enable on every register of the pipeline would cost its clock frequency.
//
// - in_ready depends on registers alone: no combinational path from out_ready to it.
// - A reader that is always ready gets a result STAGES clocks after its sample went in,
//   and one every clock.
// - A result stays until it is taken. Results come in the order of the samples.
// - rst (synchronous) empties pipeline and store: what was in flight is dropped.

`timescale 1 ns / 1 ps
`default_nettype none

module handshake #(
    parameter WIDTH = 8,           // bits of a result
    parameter STAGES = 1,          // registers of the pipeline, 1 or more
    parameter DEPTH = STAGES + 1   // words of the store, at least 2; fewer lower the rate
) (
    input  wire             clk,
    input  wire             rst,
    input  wire             in_valid,
    output wire             in_ready,
    input  wire [WIDTH-1:0] result,     // of the pipeline
    output wire             out_valid,
    input  wire             out_ready,
    output wire [WIDTH-1:0] out_data
);

    localparam COUNT = $clog2(DEPTH + 1);
    localparam PLACE = $clog2(DEPTH);
    localparam [COUNT-1:0] FULL = DEPTH[COUNT-1:0];
    localparam [31:0] END = DEPTH - 1;
    localparam [PLACE-1:0] LAST = END[PLACE-1:0];

    reg [STAGES-1:0] flying;       // which stages of the pipeline hold a sample
    reg [COUNT-1:0]   room;         // samples that may still come in
    reg [COUNT-1:0]   stored;       // results that wait
    reg [PLACE-1:0]   head, tail;   // where the first is, where the next goes
    reg [WIDTH-1:0]   store [0:DEPTH-1];

    wire arriving = flying[STAGES-1];
    wire waiting  = stored != 0;
    wire enter    = in_valid & in_ready;
    wire leave    = out_valid & out_ready;
    wire pop      = leave & waiting;
    wire push     = arriving & (waiting | ~out_ready);

    assign in_ready  = room != 0;
    assign out_valid = arriving | waiting;
    assign out_data  = waiting ? store[head] : result;

    always @(posedge clk)
        if (push) store[tail] <= result;

    always @(posedge clk)
        if (rst) begin
            flying <= 0;
            room   <= FULL;
            stored <= 0;
            head   <= 0;
            tail   <= 0;
        end else begin
            flying <= (flying << 1) | {{(STAGES-1){1'b0}}, enter};
            if (enter != leave) room   <= enter ? room - 1'b1 : room + 1'b1;
            if (push != pop)    stored <= push ? stored + 1'b1 : stored - 1'b1;
            if (push) tail <= tail == LAST ? 0 : tail + 1'b1;
            if (pop)  head <= head == LAST ? 0 : head + 1'b1;
        end

endmodule

`default_nettype wire
