// The counter over a kernel's places with pairs, polynomial, seed and kept indices as inputs: one block for the layers of
// a network whose kernels have KERNEL places, one after the other. The inputs stand still while `rst` is low. See
// lig_counter.v for what it does, and lig_any.v for `error`.
//
// KERNEL is no input: how far a walk may go, the pairs times KERNEL, is then an adder or two instead of a multiplier.
`default_nettype none
module lig_counter_any #(
    parameter integer DEGREE = 12,                  // of the longest register
    parameter integer KERNEL = 9,                   // places, odd; 1 for linear layers
    parameter integer ENDLESS = 0,
    parameter integer PLACE_WIDTH = KERNEL > 1 ? $clog2(KERNEL) : 1,
    parameter integer COUNT = DEGREE + PLACE_WIDTH  // width of the counter of indices
) (
    input  wire                   clk,
    input  wire                   rst,
    input  wire [DEGREE:0]        pairs,    // 2 to 2^n for a register of n bits
    input  wire [DEGREE-1:0]      seed,     // any state but 0
    input  wire [DEGREE-1:0]      taps,     // bit 0 is set
    input  wire [DEGREE-1:0]      top,      // 2^(n-1), n being 2 or more
    input  wire [COUNT-1:0]       highest,  // indices in one walk, less 1; below `pairs` * KERNEL
    input  wire                   ready,
    output wire                   valid,
    output wire [DEGREE-1:0]      pair,
    output wire [PLACE_WIDTH-1:0] place,
    output wire                   last,
    output wire                   error
);
    generate  // see lfsr_check.v
        if (KERNEL < 1 || KERNEL % 2 == 0) begin : g_kernel
            KERNEL_must_be_odd refused ();
        end
    endgenerate

    localparam integer REACH = DEGREE + 1 + PLACE_WIDTH;

    wire [REACH-1:0] positions = {{PLACE_WIDTH{1'b0}}, pairs} * {{(DEGREE + 1){1'b0}}, KERNEL[PLACE_WIDTH-1:0]};
    wire             no_register, beyond_pairs;

    /* verilator lint_off PINCONNECTEMPTY */
    lfsr_check_any #(.DEGREE(DEGREE)) check (
        .seed(seed), .taps(taps), .top(top), .states(), .error(no_register)
    );
    /* verilator lint_on PINCONNECTEMPTY */
    walk_check #(.WIDTH(REACH), .COUNT(COUNT), .ENDLESS(ENDLESS)) walk_of_pairs (
        .reach(positions), .highest(highest), .error(beyond_pairs)
    );

    assign error = no_register || pairs < 2 || pairs > {top, 1'b0} || beyond_pairs;

    wire halt = rst || error;

    wire [DEGREE-1:0] state;
    wire              hit = {1'b0, state} < pairs;

    assign valid = !halt && hit;
    assign pair  = state;

    wire take    = valid && ready;
    wire step    = take || !hit;
    wire restart = take && last;

    lfsr_any #(.DEGREE(DEGREE), .DE_BRUIJN(1)) register (
        .clk(clk), .load(halt || restart), .step(step), .state(state), .seed(seed), .taps(taps), .top(top)
    );
    /* verilator lint_off PINCONNECTEMPTY */
    walk_end #(.WIDTH(COUNT), .ENDLESS(ENDLESS)) walk (
        .clk(clk), .rst(halt), .restart(restart), .take(take), .highest(highest), .last(last), .count()
    );
    /* verilator lint_on PINCONNECTEMPTY */

    generate
        if (KERNEL > 1) begin : g_places  // a walk over the places, again and again
            localparam integer HIGHEST_PLACE = KERNEL - 1;
            wire last_place;
            walk_end #(.WIDTH(PLACE_WIDTH)) places (
                .clk(clk), .rst(halt || restart), .restart(step && last_place), .take(step),
                .highest(HIGHEST_PLACE[PLACE_WIDTH-1:0]), .last(last_place), .count(place)
            );
        end else begin : g_one
            assign place = 1'b0;
        end
    endgenerate
endmodule
`default_nettype wire
