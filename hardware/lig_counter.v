// Index generator for kernels of an odd number of places, 3x3 above all: a counter over the places of the kernel beside a
// de Bruijn register over the pairs of output and input (twofold.masks.kinds: KernelCounter).
//
// Both step at each clock, and states beyond the last pair are skipped. KERNEL and the register's 2^DEGREE states have
// no common divisor, so every pair and place comes once in KERNEL * 2^DEGREE clocks.
//
// `pair` and `place` are the index: the weight's position is pair * KERNEL + place, and where the inputs are a power of
// two the bits of `pair` are output and input. Handshake, KEPT and `rst`: see lig.v.
`default_nettype none
module lig_counter #(
    parameter integer DEGREE = 8,
    parameter [63:0] TAPS = DEGREE == 8 ? 64'b00011101 : 64'b0,  // here x^8 + x^4 + x^3 + x^2 + 1
    parameter [63:0] SEED = 1,                                   // any state but 0
    parameter integer PAIRS = 256,                               // 2 to 2^DEGREE
    parameter integer KERNEL = 9,                                // places, odd; 1 for a linear layer
    parameter integer KEPT = 0,                                  // indices in one walk; 0: no end
    parameter integer PAIR_WIDTH = $clog2(PAIRS),
    parameter integer PLACE_WIDTH = KERNEL > 1 ? $clog2(KERNEL) : 1
) (
    input  wire                   clk,
    input  wire                   rst,
    input  wire                   ready,
    output wire                   valid,
    output wire [PAIR_WIDTH-1:0]  pair,
    output wire [PLACE_WIDTH-1:0] place,
    output wire                   last
);
    generate  // see lfsr_check.v
        if (PAIRS < 2 || ((PAIRS - 1) >> DEGREE) != 0) begin : g_pairs
            PAIRS_must_be_2_to_the_states_of_the_register refused ();
        end
        if (KERNEL < 1 || KERNEL % 2 == 0) begin : g_kernel
            KERNEL_must_be_odd refused ();
        end
        if (KEPT < 0 || KEPT > PAIRS * KERNEL) begin : g_kept
            KEPT_is_beyond_what_the_walk_reaches refused ();
        end
    endgenerate

    localparam integer COUNT = KEPT > 1 ? $clog2(KEPT) : 1;
    localparam integer HIGHEST = KEPT > 1 ? KEPT - 1 : 0;

    wire [DEGREE-1:0] state;
    wire              hit = {1'b0, state} < PAIRS[DEGREE:0];

    assign valid = !rst && hit;
    assign pair  = state[PAIR_WIDTH-1:0];

    wire take    = valid && ready;
    wire step    = take || !hit;
    wire restart = take && last;

    lfsr #(.DEGREE(DEGREE), .TAPS(TAPS), .SEED(SEED), .DE_BRUIJN(1), .LONGEST(31)) register (
        .clk(clk), .load(rst || restart), .step(step), .state(state)
    );
    /* verilator lint_off PINCONNECTEMPTY */
    walk_end #(.WIDTH(COUNT), .ENDLESS(KEPT == 0 ? 1 : 0)) walk (
        .clk(clk), .rst(rst), .restart(restart), .take(take), .highest(HIGHEST[COUNT-1:0]), .last(last), .count()
    );
    /* verilator lint_on PINCONNECTEMPTY */

    generate
        if (KERNEL > 1) begin : g_places  // a walk over the places, again and again
            localparam integer HIGHEST_PLACE = KERNEL - 1;
            wire last_place;
            walk_end #(.WIDTH(PLACE_WIDTH)) places (
                .clk(clk), .rst(rst || restart), .restart(step && last_place), .take(step),
                .highest(HIGHEST_PLACE[PLACE_WIDTH-1:0]), .last(last_place), .count(place)
            );
        end else begin : g_one
            assign place = 1'b0;
        end
    endgenerate
endmodule
`default_nettype wire
