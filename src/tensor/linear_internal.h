/* linear_internal.h: what the files of the product share. A product is a grid of blocks: a panel of
 * outputs by some rows. A back end knows how to make a panel ready and how to fill one block;
 * linear.c splits the grid and writes the results. */
#ifndef MN_TENSOR_LINEAR_INTERNAL_H
#define MN_TENSOR_LINEAR_INTERNAL_H

#include "kern/dots.h"
#include "tensor/linear.h"

enum {
    MN__DOT_ROWS = 32,           /* decode rows quantised at a time */
    MN__BLOCK_FLOATS = 256 * 32, /* the largest block of any back end */
};

/* How decode rows are stored for a weight: ggml's own types, or ours. */
enum { MN__DOTS_NONE = -1, MN__DOTS_OWN = -2 };

/* One thread's workspace; every pointer 64-byte aligned. */
typedef struct mn__space {
    uint8_t *quant; /* [MN__DOT_ROWS][quant_row_bytes] */
    float *wide; /* [2][32][max_in] at f32 levels, [32][max_in] at bf16 levels: rows of a weight */
    mn_bf16 *panel[2]; /* [32 * k_pad] each, at bf16 levels */
    float *block[2];   /* [MN__BLOCK_FLOATS] each */
    size_t quant_row_bytes;
} mn__space;

struct mn__product {
    const struct mn__kern *kern;
    int n_thread;
    size_t max_row, max_in, thread_bytes;
    uint8_t *data; /* [n_thread][thread_bytes] */
};
void mn__product_space(const mn__product *p, int thread, mn__space *out);

struct mn__packed {
    mn_bf16 *panels; /* [ceil(n_out/32)] panels, or NULL */
    uint8_t *dots;   /* [ceil(n_out/16)] groups (kern/dots.h), or NULL */
};

/* A type that we have packed dots for; dot, panel: the kernels' places in struct
 * mn__kern. */
typedef struct mn__dots_format {
    int type, bits;
    mn__dots_scale scale;
    size_t dot, panel;
} mn__dots_format;
const mn__dots_format *mn__dots_format_of(const mn__weight *w); /* NULL: none */
size_t mn__dots_bytes(const mn__weight *w);                     /* 0: none */
void mn__dots_pack(const mn__weight *w, uint8_t *out);          /* out [mn__dots_bytes] */
/* Outputs [col, col + 32) of a weight with packed dots as a panel [n_in/2][32][2]; col is a
 * multiple of 32. */
void mn__dots_panel(const struct mn__kern *kern, const mn__weight *w, size_t col, mn_bf16 *out);

/* A row in 8 bits. Neighbours in a buffer are mn__q8_row_bytes apart, or more. */
typedef struct mn__q8_row {
    int8_t *q;    /* [k] */
    float *scale; /* [k/32] */
    int32_t *sum; /* [k/32] */
} mn__q8_row;
mn__q8_row mn__q8_row_at(uint8_t *row, size_t k);
/* c [n_row][32] = rows in 8 bits, row_bytes apart, times outputs [col, col + 32) of a weight with
 * packed dots; columns from w->n_out on are left alone. */
void mn__dots_multiply(const struct mn__kern *kern, const mn__weight *w, size_t col, uint8_t *rows,
                       size_t row_bytes, size_t n_row, float *c);

static inline size_t mn__round_up(size_t n, size_t unit)
{
    return (n + unit - 1) / unit * unit;
}

/* Rows [row, row+n) of a weight as floats, `ld` apart. */
void mn__weight_widen(const mn__weight *w, size_t row, size_t n, float *out, size_t ld);
/* ggml's tables, once per process. */
void mn__ggml_init(void);

/* What one thread works on. */
typedef struct mn__work {
    const struct mn__kern *kern;
    const mn__rows *x;
    size_t pass_row, pass_n; /* rows of this pass */
    mn__space space;
    int quant_kind;          /* how space.quant holds the rows of this pass */
    const mn_bf16 *panel[2]; /* of the slots */
} mn__work;

typedef struct mn__backend {
    size_t n_col; /* outputs of a panel */
    size_t n_row; /* rows of a block, at most */
    /* Rows that all panels meet before the next rows come, for products with w. */
    size_t (*pass_rows)(const mn__weight *w);
    void (*begin)(mn__work *work);
    void (*end)(mn__work *work);
    /* Outputs [col, col + n_col) of w into slot 0 or 1. */
    void (*prepare)(mn__work *work, const mn__weight *w, size_t col, int slot);
    /* c [n_row][n_col of the back end] = rows [row, row + n_row) times the slot's panel; columns
     * from w->n_out on: anything. */
    void (*fill)(mn__work *work, const mn__weight *w, size_t col, int slot, size_t row,
                 size_t n_row, float *c);
} mn__backend;

extern const mn__backend mn__backend_dots, mn__backend_bytes, mn__backend_panels, mn__backend_wide;

#endif
