// LFSR index generator (LIG): the positions of a layer's kept weights, one at a time, none stored.
//
// A shift register runs through its states; each state becomes a position below M, by multiply and shift or by the
// remainder (twofold.masks.generator.reduce_states). Bit i of TAPS is the coefficient of x^i of the characteristic polynomial,
// without x^DEGREE (twofold.masks.lfsr):
//   Fibonacci  shifts right; the XOR of the tapped bits comes in on top; bit 0 is the oldest.
//   Galois     shifts left, that is, multiplies by x; where x^DEGREE falls out, TAPS is added.
//
// Positions repeat. With DEDUP = 1 the generator hands out first sights only, as twofold.masks.generator.lfsr_mask does: it
// spends a scratch bit for each position (first_sights.v). With DEDUP = 0 every state gives an index and there is
// no scratch memory; then the weight memory must hold a 0 wherever an index comes again.
//
// Handshake: while `valid` is high, `index` is an index. The consumer takes it by holding `ready` high at a rising
// edge. After KEPT indices, `last` being high with the last of them, the walk starts again from SEED: once for each
// input vector. KEPT = 0 never ends. `rst` (synchronous) starts afresh; with DEDUP = 1 the scratch bits are then
// cleared one a clock, so the first index comes after M clocks. Between two walks nothing needs to be cleared.
`default_nettype none
module lig #(
    parameter integer DEGREE = 9,
    parameter [DEGREE-1:0] TAPS = 9'b000010001,  // here x^9 + x^4 + 1
    parameter [DEGREE-1:0] SEED = 1,             // any state but 0
    parameter integer M = 300,                   // positions, 2 or more
    parameter integer KEPT = 0,                  // indices in one walk; 0: no end
    parameter integer MODULO = 0,                // 0: multiply and shift, 1: remainder
    parameter integer GALOIS = 0,                // 0: Fibonacci, 1: Galois
    parameter integer DEDUP = 1,                 // 1: first sights only, 0: every state's index
    parameter integer WIDTH = $clog2(M)
) (
    input  wire             clk,
    input  wire             rst,
    input  wire             ready,
    output wire             valid,
    output wire [WIDTH-1:0] index,
    output wire             last
);
    // The register. `take`: its index is consumed at the next edge, and the register steps.
    reg  [DEGREE-1:0] state;
    wire [DEGREE-1:0] stepped;
    wire              take;
    wire              restart = valid && ready && last;

    always @(posedge clk)
        if (rst || restart) state <= SEED;
        else if (take) state <= stepped;

    generate
        if (GALOIS != 0) assign stepped = {state[DEGREE-2:0], 1'b0} ^ (TAPS & {DEGREE{state[DEGREE-1]}});
        else             assign stepped = {^(state & TAPS), state[DEGREE-1:1]};
    endgenerate

    // The reduction. M is a constant, so the multiplier is a few adders; the remainder is an array of subtractors.
    localparam [WIDTH:0] SIZE = M[WIDTH:0];
    wire [WIDTH-1:0] raw;

    /* verilator lint_off UNUSEDSIGNAL */  // the shift drops the fraction; a remainder's top bits are 0
    generate
        if (MODULO != 0) begin : g_modulo
            localparam integer WORD = DEGREE > WIDTH ? DEGREE : WIDTH + 1;
            wire [WORD-1:0] word = {{(WORD - DEGREE){1'b0}}, state};
            wire [WORD-1:0] rest = word % {{(WORD - WIDTH - 1){1'b0}}, SIZE};
            assign raw = rest[WIDTH-1:0];
        end else begin : g_multiply
            wire [DEGREE+WIDTH-1:0] product = {{WIDTH{1'b0}}, state} * {{(DEGREE - 1){1'b0}}, SIZE};
            assign raw = product[DEGREE+WIDTH-1:DEGREE];
        end
    endgenerate
    /* verilator lint_on UNUSEDSIGNAL */

    // Repeats.
    generate
        if (DEDUP != 0) begin : g_dedup
            first_sights #(.M(M), .WIDTH(WIDTH)) dedup (
                .clk(clk), .rst(rst), .restart(restart), .raw(raw), .take(take),
                .index(index), .valid(valid), .ready(ready)
            );
        end else begin : g_raw
            assign index = raw;
            assign valid = 1'b1;
            assign take  = ready;
        end
    endgenerate

    // The end of a walk.
    walk_end #(.KEPT(KEPT)) walk (.clk(clk), .rst(rst), .restart(restart), .take(valid && ready), .last(last));
endmodule
`default_nettype wire
