// Refuses a register that is none, while the design is elaborated.
//
// How all checks here refuse: they instantiate a module that does not exist, whose name says what is wrong. Icarus
// Verilog, Verilator and Yosys (`hierarchy -check`) all stop at it and print that name; `$error` in a generate block,
// which later Verilog has for this, is a syntax error to Icarus Verilog 11.
//
// Whether the polynomial is primitive is not checked here; twofold.masks.gf2 does.
`default_nettype none
module lfsr_check #(
    parameter integer DEGREE = 9,
    parameter [63:0] TAPS = 1,
    parameter [63:0] SEED = 1,
    parameter integer LONGEST = 64
) ();
    generate
        if (DEGREE < 2 || DEGREE > LONGEST) begin : g_degree
            DEGREE_must_be_2_to_64_or_31_where_states_are_positions refused ();
        end
        if (!TAPS[0] || (TAPS >> DEGREE) != 0) begin : g_taps  // also where DEGREE was changed and TAPS was not
            TAPS_must_be_given_with_DEGREE_and_have_bit_0_set refused ();
        end
        if (SEED == 0 || (SEED >> DEGREE) != 0) begin : g_seed
            SEED_must_be_a_state_other_than_0 refused ();
        end
    endgenerate
endmodule
`default_nettype wire
