/* pack_dots.c: blocks of ggml's common types, 16 rows interleaved as kern/dots.h says. Every number
 * stays what the file holds. */
#include <ggml.h>
#include <string.h>
#include "tensor/linear_internal.h"

/* The file's blocks: 32 inputs with their own scales, or 256 with scales of 6 or 8 bits. f16 as raw
 * words. */
typedef struct block_q4_0 {
    uint16_t d;
    uint8_t q[16];
} block_q4_0;
typedef struct block_q4_1 {
    uint16_t d, m;
    uint8_t q[16];
} block_q4_1;
typedef struct block_q5_0 {
    uint16_t d;
    uint8_t high[4], q[16];
} block_q5_0;
typedef struct block_q5_1 {
    uint16_t d, m;
    uint8_t high[4], q[16];
} block_q5_1;
typedef struct block_q8_0 {
    uint16_t d;
    uint8_t q[32];
} block_q8_0;
typedef struct block_q4_k {
    uint16_t d, m;
    uint8_t part[12], q[128];
} block_q4_k;
typedef struct block_q5_k {
    uint16_t d, m;
    uint8_t part[12], high[32], q[128];
} block_q5_k;
typedef struct block_q6_k {
    uint8_t q[128], high[64], part[16];
    uint16_t d;
} block_q6_k;

/* 32 inputs of one row: whole numbers, and the scales that hold for them. */
typedef struct piece {
    uint8_t whole[32], part[2], part_m;
    uint16_t d, m;
} piece;

static void split_nibbles(const uint8_t *q, uint8_t *whole)
{
    for (size_t i = 0; i < 16; i++) {
        whole[i] = q[i] & 15;
        whole[16 + i] = q[i] >> 4;
    }
}

static void add_fifth_bit(const uint8_t *high, uint8_t *whole)
{
    for (size_t i = 0; i < 32; i++) whole[i] |= (uint8_t)((high[i / 8] >> i % 8 & 1) << 4);
}

/* Scale and minimum of 32 inputs i of 8: six bits each; those of the last four are spread over two
 * places. */
static void read_six_bits(const uint8_t *part, size_t i, piece *out)
{
    if (i < 4) {
        out->part[0] = part[i] & 63;
        out->part_m = part[i + 4] & 63;
    } else {
        out->part[0] = (uint8_t)((part[i + 4] & 15) | (part[i - 4] >> 6) << 4);
        out->part_m = (uint8_t)(part[i + 4] >> 4 | (part[i] >> 6) << 4);
    }
}

/* 64 inputs share 32 bytes: the first half in the low nibbles. */
static void read_half_of_64(const uint8_t *q, size_t i, uint8_t *whole)
{
    const uint8_t *from = q + i / 2 * 32;
    const int shift = i % 2 ? 4 : 0;
    for (size_t c = 0; c < 32; c++) whole[c] = from[c] >> shift & 15;
}

static void read_q6_k(const block_q6_k *x, size_t i, piece *out)
{
    /* 128 inputs: four runs of 32; runs 0, 1 in low nibbles of bytes 0-31 and 32-63, runs 2, 3 in
     * the high ones */
    const uint8_t *q = x->q + i / 4 * 64 + i % 2 * 32, *high = x->high + i / 4 * 32;
    const int shift = i % 4 / 2 * 4, shift_high = (int)(i % 4) * 2;
    for (size_t c = 0; c < 32; c++)
        out->whole[c] = (uint8_t)((q[c] >> shift & 15) | (high[c] >> shift_high & 3) << 4);
    memcpy(out->part, x->part + 2 * i, 2);
    out->d = x->d;
}

#define MN__BLOCK(type, row, i) ((const block_##type *)(const void *)(row) + (i))

/* Inputs 32b .. 32b+31 of a row. */
static void read_piece(int type, const uint8_t *row, size_t b, piece *out)
{
    switch (type) {
    case GGML_TYPE_Q4_0:
        split_nibbles(MN__BLOCK(q4_0, row, b)->q, out->whole);
        out->d = MN__BLOCK(q4_0, row, b)->d;
        break;
    case GGML_TYPE_Q4_1:
        split_nibbles(MN__BLOCK(q4_1, row, b)->q, out->whole);
        out->d = MN__BLOCK(q4_1, row, b)->d;
        out->m = MN__BLOCK(q4_1, row, b)->m;
        break;
    case GGML_TYPE_Q5_0:
        split_nibbles(MN__BLOCK(q5_0, row, b)->q, out->whole);
        add_fifth_bit(MN__BLOCK(q5_0, row, b)->high, out->whole);
        out->d = MN__BLOCK(q5_0, row, b)->d;
        break;
    case GGML_TYPE_Q5_1:
        split_nibbles(MN__BLOCK(q5_1, row, b)->q, out->whole);
        add_fifth_bit(MN__BLOCK(q5_1, row, b)->high, out->whole);
        out->d = MN__BLOCK(q5_1, row, b)->d;
        out->m = MN__BLOCK(q5_1, row, b)->m;
        break;
    case GGML_TYPE_Q8_0:
        for (size_t i = 0; i < 32; i++) out->whole[i] = MN__BLOCK(q8_0, row, b)->q[i] ^ 0x80;
        out->d = MN__BLOCK(q8_0, row, b)->d;
        break;
    case GGML_TYPE_Q4_K:
    case GGML_TYPE_Q5_K: {
        /* both begin alike */
        const block_q4_k *x = type == GGML_TYPE_Q4_K ? MN__BLOCK(q4_k, row, b / 8) : NULL;
        const block_q5_k *y = type == GGML_TYPE_Q5_K ? MN__BLOCK(q5_k, row, b / 8) : NULL;
        read_half_of_64(x ? x->q : y->q, b % 8, out->whole);
        for (size_t i = 0; y && i < 32; i++)
            out->whole[i] |= (uint8_t)((y->high[i] >> b % 8 & 1) << 4);
        read_six_bits(x ? x->part : y->part, b % 8, out);
        out->d = x ? x->d : y->d;
        out->m = x ? x->m : y->m;
        break;
    }
    default: read_q6_k(MN__BLOCK(q6_k, row, b / 8), b % 8, out);
    }
}

/* Bits from the fifth on: of one plane (5 bits) or two (6 bits). */
static void write_high(uint8_t *high, int bits, size_t b, size_t r, const uint8_t *whole)
{
    for (size_t i = 0; i < 4; i++) {
        unsigned byte[2] = {0, 0};
        for (size_t t = 0; t < 8; t++) {
            unsigned top = whole[4 * t + i] >> 4;
            if (bits == 5)
                byte[0] |= top << t;
            else
                byte[t / 4] |= top << t % 4 * 2;
        }
        if (bits == 5) {
            high[b * 64 + r * 4 + i] = (uint8_t)byte[0];
        } else {
            high[b * 128 + r * 4 + i] = (uint8_t)byte[0];
            high[b * 128 + 64 + r * 4 + i] = (uint8_t)byte[1];
        }
    }
}

static void write_piece(uint8_t *group, const mn__dots_format *f, const mn__dots_planes *p,
                        size_t b, size_t r, const piece *in)
{
    uint8_t pair[16];
    if (f->bits == 8) {
        for (size_t t = 0; t < 8; t++)
            memcpy(group + p->q + (b * 8 + t) * 64 + r * 4, in->whole + 4 * t, 4);
    } else {
        for (size_t i = 0; i < 16; i++)
            pair[i] = (uint8_t)((in->whole[i] & 15) | in->whole[16 + i] << 4);
        for (size_t t = 0; t < 4; t++)
            memcpy(group + p->q + (b * 4 + t) * 64 + r * 4, pair + 4 * t, 4);
    }
    if (f->bits == 5 || f->bits == 6) write_high(group + p->high, f->bits, b, r, in->whole);
    bool is_super = f->scale == MN__DOTS_K || f->scale == MN__DOTS_S;
    size_t at = ((is_super ? b / 8 : b) * 16 + r) * sizeof in->d;
    memcpy(group + p->d + at, &in->d, sizeof in->d);
    if (f->scale == MN__DOTS_DM || f->scale == MN__DOTS_K)
        memcpy(group + p->m + at, &in->m, sizeof in->m);
    if (f->scale == MN__DOTS_K) {
        group[p->part + b * 16 + r] = in->part[0];
        group[p->part_m + b * 16 + r] = in->part_m;
    } else if (f->scale == MN__DOTS_S) {
        group[p->part + (b * 2) * 16 + r] = in->part[0];
        group[p->part + (b * 2 + 1) * 16 + r] = in->part[1];
    }
}

const mn__dots_format *mn__dots_format_of(const mn__weight *w)
{
#define X(name, upper, bits, zero, scale)                                     \
    {GGML_TYPE_##upper, bits, scale, offsetof(struct mn__kern, dot16_##name), \
     offsetof(struct mn__kern, panel16_##name)},
    static const mn__dots_format format[] = {MN__DOTS_MAP(X)};
#undef X
    for (size_t i = 0; i < sizeof format / sizeof *format; i++)
        if (format[i].type == w->type) return &format[i];
    return NULL;
}

size_t mn__dots_bytes(const mn__weight *w)
{
    const mn__dots_format *f = mn__dots_format_of(w);
    if (!f) return 0;
    return (w->n_out + MN__DOTS_ROWS - 1) / MN__DOTS_ROWS *
           mn__dots_layout(f->bits, f->scale, w->n_in).bytes;
}

void mn__dots_pack(const mn__weight *w, uint8_t *out)
{
    const mn__dots_format *f = mn__dots_format_of(w);
    const mn__dots_planes p = mn__dots_layout(f->bits, f->scale, w->n_in);
    memset(out, 0, mn__dots_bytes(w)); /* rows past the last, and the gaps, count for nothing */
    for (size_t row = 0; row < w->n_out; row++) {
        uint8_t *group = out + row / MN__DOTS_ROWS * p.bytes;
        for (size_t b = 0; b < w->n_in / MN__DOTS_BLOCK; b++) {
            piece in = {0};
            read_piece(w->type, w->data + row * w->row_bytes, b, &in);
            write_piece(group, f, &p, b, row % MN__DOTS_ROWS, &in);
        }
    }
}

/* Rows lie an odd number of lines apart, so that many of them do not meet in few sets of a cache.
 */
size_t mn__q8_row_bytes(size_t n_in)
{
    size_t words = mn__round_up(n_in / MN__DOTS_BLOCK * 4, 64);
    return (mn__round_up(n_in, 64) + 2 * words) | 64;
}

mn__q8_row mn__q8_row_at(uint8_t *row, size_t k)
{
    size_t words = mn__round_up(k / MN__DOTS_BLOCK * 4, 64);
    uint8_t *scale = row + mn__round_up(k, 64);
    return (mn__q8_row){(int8_t *)row, (float *)(void *)scale, (int32_t *)(void *)(scale + words)};
}

void mn__dots_multiply(const struct mn__kern *kern, const mn__weight *w, size_t col, uint8_t *rows,
                       size_t row_bytes, size_t n_row, float *c)
{
    const mn__dots_format *f = mn__dots_format_of(w);
    const size_t bytes = mn__dots_layout(f->bits, f->scale, w->n_in).bytes;
    const size_t n_group = w->n_out - col > MN__DOTS_ROWS ? 2 : 1;
    const mn__q8_row x = mn__q8_row_at(rows, w->n_in);
    dot16_q4_0_fn *dot; /* all of one type */
    memcpy(&dot, (const char *)kern + f->dot, sizeof dot);
    dot(c, MN__MM_COLS, w->packed->dots + col / MN__DOTS_ROWS * bytes, n_group, x.q, x.scale, x.sum,
        row_bytes, n_row, w->n_in);
}

void mn__dots_panel(const struct mn__kern *kern, const mn__weight *w, size_t col, mn_bf16 *out)
{
    const mn__dots_format *f = mn__dots_format_of(w);
    const size_t bytes = mn__dots_layout(f->bits, f->scale, w->n_in).bytes;
    const uint8_t *group = w->packed->dots + col / MN__DOTS_ROWS * bytes;
    panel16_q4_0_fn *panel16; /* all formats' are of one type */
    memcpy(&panel16, (const char *)kern + f->panel, sizeof panel16);
    panel16(out, group, w->n_in);
    if (col + MN__DOTS_ROWS < w->n_out) {
        panel16(out + MN__MM_COLS, group + bytes, w->n_in);
        return;
    }
    for (size_t i = 0; i < w->n_in / 2; i++) /* outputs that are not there */
        memset(out + i * 2 * MN__MM_COLS + MN__MM_COLS, 0, MN__MM_COLS * sizeof *out);
}
