// LFSR index generator (LIG): the positions of a layer's kept weights, one at a time, none stored.
//
// The register is in Fibonacci form, as in twofold.lfsr: bit 0 is the output and the oldest bit, the register
// shifts right, and the XOR of the tapped bits comes in on top. A state becomes a position below M by
// multiply and shift (twofold.lig.reduce_states) or by the remainder. Positions repeat; a scratch bit for each
// of the M positions marks those seen before, and the generator steps over them by itself.
//
// Handshake: while `valid` is high, `index` is a position that has not been given out before. The consumer
// takes it by holding `ready` high at a rising edge. `rst` starts the layer afresh, from SEED.
module lig #(
    parameter integer DEGREE = 9,
    parameter [DEGREE-1:0] TAPS = 9'b000010001,  // bit i = coefficient of x^i; here x^9 + x^4 + 1
    parameter [DEGREE-1:0] SEED = 1,             // any state but 0
    parameter integer M = 300,
    parameter integer MODULO = 0,                // 0: multiply and shift, 1: remainder
    parameter integer WIDTH = $clog2(M)
) (
    input  wire             clk,
    input  wire             rst,
    input  wire             ready,
    output wire             valid,
    output wire [WIDTH-1:0] index
);
    reg [DEGREE-1:0] state;
    reg [M-1:0] seen;

    wire [DEGREE+WIDTH:0] product = state * M;  // wide enough for (2^DEGREE - 1) * M

    assign index = MODULO ? state % M : product >> DEGREE;
    assign valid = !seen[index];

    always @(posedge clk)
        if (rst) begin
            state <= SEED;
            seen  <= {M{1'b0}};
        end else if (ready || !valid) begin
            state <= {^(state & TAPS), state[DEGREE-1:1]};
            seen[index] <= 1'b1;
        end
endmodule
