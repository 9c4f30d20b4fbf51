// Column by column with rows, columns, polynomials, seeds and kept rows as inputs: one block for the layers of a network,
// one after the other. The inputs stand still while `rst` is low. See lig_column.v for what it does, and lig_any.v for
// `error`.
`default_nettype none
module lig_column_any #(
    parameter integer DEGREE = 10,           // of the longest register
    parameter integer OUTER_DEGREE = DEGREE  // of the longest outer register, DEGREE or more
) (
    input  wire                    clk,
    input  wire                    rst,
    input  wire [DEGREE:0]         rows,            // 2 to 2^n for a register of n bits
    input  wire [DEGREE-1:0]       seed,            // any state but 0
    input  wire [DEGREE-1:0]       taps,            // bit 0 is set
    input  wire [DEGREE-1:0]       top,             // 2^(n-1), n being 2 or more
    input  wire [OUTER_DEGREE-1:0] outer_seed,      // any state of the outer register but 0
    input  wire [OUTER_DEGREE-1:0] outer_taps,      // bit 0 is set
    input  wire [OUTER_DEGREE-1:0] outer_top,       // 2^(m-1) for an outer register of m bits, n or more
    input  wire [DEGREE-1:0]       highest_row,     // rows kept in each column, less 1; below `rows`
    input  wire [OUTER_DEGREE-1:0] highest_column,  // columns less 1; below 2^m - 1
    input  wire                    ready,
    output wire                    valid,
    output wire [DEGREE-1:0]       row,
    output wire [OUTER_DEGREE-1:0] column,
    output wire                    last,
    output wire                    error
);
    generate  // see lfsr_check.v
        if (OUTER_DEGREE < DEGREE) begin : g_outer
            OUTER_DEGREE_must_reach_DEGREE refused ();
        end
    endgenerate

    wire [DEGREE-1:0]       states;
    wire [OUTER_DEGREE-1:0] outer_states;
    wire                    no_register, no_outer, beyond_rows, beyond_columns;

    lfsr_check_any #(.DEGREE(DEGREE)) check (
        .seed(seed), .taps(taps), .top(top), .states(states), .error(no_register)
    );
    lfsr_check_any #(.DEGREE(OUTER_DEGREE)) outer_check (
        .seed(outer_seed), .taps(outer_taps), .top(outer_top), .states(outer_states), .error(no_outer)
    );
    walk_check #(.WIDTH(DEGREE + 1), .COUNT(DEGREE)) own_rows (
        .reach(rows), .highest(highest_row), .error(beyond_rows)
    );
    walk_check #(.WIDTH(OUTER_DEGREE), .COUNT(OUTER_DEGREE)) own_columns (
        .reach(outer_states), .highest(highest_column), .error(beyond_columns)
    );

    wire shorter_outer = outer_states[DEGREE-1:0] < states;

    assign error = no_register || no_outer || shorter_outer || rows < 2 || rows > {top, 1'b0}
        || beyond_rows || beyond_columns;

    wire halt = rst || error;

    wire [DEGREE-1:0] state;
    /* verilator lint_off UNUSEDSIGNAL */  // the outer register may be wider, so that it has a state for each column
    wire [OUTER_DEGREE-1:0] scramble;
    /* verilator lint_on UNUSEDSIGNAL */
    wire [DEGREE-1:0] scrambled = state ^ (scramble[DEGREE-1:0] & states);
    wire              hit       = {1'b0, scrambled} < rows;

    assign valid = !halt && hit;
    assign row   = scrambled;

    wire last_row, last_column;
    wire take    = valid && ready;
    wire next    = take && last_row;
    wire restart = next && last_column;

    assign last = last_row && last_column;

    lfsr_any #(.DEGREE(DEGREE), .DE_BRUIJN(1)) register (
        .clk(clk), .load(halt || restart), .step(take || !hit), .state(state), .seed(seed), .taps(taps), .top(top)
    );
    lfsr_any #(.DEGREE(OUTER_DEGREE)) outer (
        .clk(clk), .load(halt || restart), .step(next), .state(scramble),
        .seed(outer_seed), .taps(outer_taps), .top(outer_top)
    );
    /* verilator lint_off PINCONNECTEMPTY */
    walk_end #(.WIDTH(DEGREE)) row_walk (
        .clk(clk), .rst(halt), .restart(next), .take(take), .highest(highest_row), .last(last_row), .count()
    );
    /* verilator lint_on PINCONNECTEMPTY */
    walk_end #(.WIDTH(OUTER_DEGREE)) column_walk (
        .clk(clk), .rst(halt), .restart(restart), .take(next), .highest(highest_column), .last(last_column),
        .count(column)
    );
endmodule
`default_nettype wire
