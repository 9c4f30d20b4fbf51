// Says whether the inputs of lfsr_any.v are a register: what lfsr_check.v refuses of parameters.
//
// Whether the polynomial is primitive is not checked here; twofold.masks.gf2 does.
`default_nettype none
module lfsr_check_any #(
    parameter integer DEGREE = 16
) (
    input  wire [DEGREE-1:0] seed,
    input  wire [DEGREE-1:0] taps,
    input  wire [DEGREE-1:0] top,
    output wire [DEGREE-1:0] states,  // 2^n - 1 for a register of n bits: a 1 in each of them
    output wire              error
);
    wire [DEGREE-1:0] below = top - 1'b1;

    wire bad_degree = top < 2 || (top & below) != 0;  // n is 2 or more, and `top` has one bit
    wire beyond     = ((seed | taps) & ~states) != 0;

    assign states = top | below;
    assign error  = bad_degree || beyond || !taps[0] || seed == 0;
endmodule
`default_nettype wire
