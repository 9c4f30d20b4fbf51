// LFSR index generator (LIG) of the slides: the positions of a layer's kept weights, one at a time, none stored.
//
// A shift register runs through its states; each state becomes a position below M, by multiply and shift or by the
// remainder (twofold.masks.kinds: MultiplyShift, Modulo). TAPS: see lfsr_any.v.
//
// Positions repeat. With DEDUP = 1 the generator hands out first sights only, as the library does: it spends a scratch
// bit for each position (first_sights.v). With DEDUP = 0 every state gives an index and there is no scratch memory;
// then the weight memory must hold a 0 wherever an index comes again. lig_rejection.v has no repeats.
//
// The handshake of all generators here: while `valid` is high, `index` is an index. The consumer takes it by holding
// `ready` high at a rising edge. After KEPT indices, `last` being high with the last of them, the walk starts again
// from SEED: once for each input vector. KEPT = 0 never ends. `rst` (synchronous) starts afresh, and `valid` is low
// while it is high. With DEDUP = 1 the scratch bits are then cleared one a clock, so the first index comes after M
// clocks. Between two walks nothing needs to be cleared.
`default_nettype none
module lig #(
    parameter integer DEGREE = 9,
    parameter [63:0] TAPS = DEGREE == 9 ? 64'b000010001 : 64'b0,  // here x^9 + x^4 + 1
    parameter [63:0] SEED = 1,                                    // any state but 0
    parameter integer M = 300,                                    // positions, 2 or more
    parameter integer KEPT = 0,                                   // indices in one walk; 0: no end
    parameter integer MODULO = 0,                                 // 0: multiply and shift, 1: remainder
    parameter integer GALOIS = 0,                                 // 0: Fibonacci, 1: Galois
    parameter integer DEDUP = 1,                                  // 1: first sights only, 0: every state's index
    parameter integer WIDTH = $clog2(M)
) (
    input  wire             clk,
    input  wire             rst,
    input  wire             ready,
    output wire             valid,
    output wire [WIDTH-1:0] index,
    output wire             last
);
    lfsr_check #(.DEGREE(DEGREE), .TAPS(TAPS), .SEED(SEED)) check ();

    generate  // see lfsr_check.v
        if (M < 2) begin : g_size
            M_must_be_2_or_more refused ();
        end
        if (KEPT < 0 || (DEDUP != 0 && (KEPT > M || (KEPT >> DEGREE) != 0))) begin : g_kept
            KEPT_is_beyond_what_the_walk_reaches refused ();
        end
    endgenerate

    localparam integer COUNT = KEPT > 1 ? $clog2(KEPT) : 1;
    localparam integer HIGHEST = KEPT > 1 ? KEPT - 1 : 0;

    lig_core #(
        .DEGREE(DEGREE), .WIDTH(WIDTH), .COUNT(COUNT), .SCRATCH(M), .MODULO(MODULO), .GALOIS(GALOIS), .DEDUP(DEDUP),
        .ENDLESS(KEPT == 0 ? 1 : 0)
    ) core (
        .clk(clk), .rst(rst), .ready(ready), .valid(valid), .index(index), .last(last),
        .size(M[WIDTH:0]), .seed(SEED[DEGREE-1:0]), .taps(TAPS[DEGREE-1:0]), .highest(HIGHEST[COUNT-1:0])
    );
endmodule
`default_nettype wire
