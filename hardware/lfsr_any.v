// A linear feedback shift register (twofold.masks.lfsr) whose polynomial and seed are inputs.
//
// Bit i of `taps` is the coefficient of x^i of the characteristic polynomial, without its highest term x^n; `top` is
// 2^(n-1), the one bit that stands for n. Registers of 2 to DEGREE bits fit; the bits above stay 0.
//   Fibonacci  shifts right; the XOR of the tapped bits comes in on top; bit 0 is the oldest.
//   Galois     shifts left, that is, multiplies by x; where x^n falls out, `taps` is added.
// DE_BRUIJN = 1 splices state 0 in between 1 and 2^(n-1) (Fibonacci only): the bit that comes in is inverted while all
// bits but the oldest are 0, so that the register runs through all 2^n states.
//
// `load`: at the next rising edge the seed comes in; `step`: else the next state.
`default_nettype none
module lfsr_any #(
    parameter integer DEGREE = 16,
    parameter integer GALOIS = 0,    // 0: Fibonacci, 1: Galois
    parameter integer DE_BRUIJN = 0  // 1: state 0 is among the states
) (
    input  wire              clk,
    input  wire              load,
    input  wire              step,
    input  wire [DEGREE-1:0] seed,
    input  wire [DEGREE-1:0] taps,
    input  wire [DEGREE-1:0] top,
    output reg  [DEGREE-1:0] state
);
    wire [DEGREE-1:0] stepped;

    always @(posedge clk)
        if (load) state <= seed;
        else if (step) state <= stepped;

    generate
        if (GALOIS != 0) begin : g_galois
            wire              out  = |(state & top);
            wire [DEGREE-2:0] rest = state[DEGREE-2:0] & ~top[DEGREE-2:0];
            assign stepped = {rest, 1'b0} ^ (taps & {DEGREE{out}});
        end else begin : g_fibonacci
            wire splice = DE_BRUIJN != 0 && state[DEGREE-1:1] == 0;
            wire in     = ^(state & taps) ^ splice;
            assign stepped = {1'b0, state[DEGREE-1:1]} | (top & {DEGREE{in}});
        end
        if (GALOIS != 0 && DE_BRUIJN != 0) begin : g_refuse
            DE_BRUIJN_needs_the_Fibonacci_form refused ();
        end
    endgenerate
endmodule
`default_nettype wire
