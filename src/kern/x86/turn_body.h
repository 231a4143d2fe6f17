/* turn_body.h: rows of floats become bf16 pairs along the rows' number: panels of columns, and rows
 * turned around; included once per width. */
#ifndef MN__ROUND_PAIR
#define MN__ROUND_PAIR vi_round_pair
#endif

/* Rows i and i + 1 of x from column j on, as pairs; of n columns and k rows, the rest are zeros. */
MN__INLINE vi pair_rows(const float *x, size_t ld, size_t n, size_t k)
{
    const vf zero = vf_set1(0);
    if (n >= VF_N && k >= 2) return MN__ROUND_PAIR(vf_load(x), vf_load(x + ld));
    return MN__ROUND_PAIR(n && k ? vf_load_n(x, n) : zero,
                          n && k > 1 ? vf_load_n(x + ld, n) : zero);
}

static size_t left_of(size_t n, size_t i)
{
    return n > i ? n - i : 0;
}

void MN__ISA(mm_pack_cols_bf16)(mn_bf16 *b, const float *w, size_t ld_w, size_t n_col, size_t k,
                                size_t k_pad)
{
    for (size_t i = 0; i < k_pad; i += 2)
        for (size_t j = 0; j < MN__MM_COLS; j += VF_N) {
            const size_t n = left_of(n_col, j), rows = left_of(k, i);
            const float *at = n && rows ? w + i * ld_w + j : w; /* no address outside w */
            vi_store(b + i * MN__MM_COLS + j * 2, pair_rows(at, ld_w, n, rows));
        }
}

/* 2 VF_N rows of x by VF_N columns: a row of a for each column. */
MN__INLINE void turn_block(mn_bf16 *a, size_t ld_a, const float *x, size_t ld_x, size_t n, size_t k)
{
    vi r[VF_N];
    for (size_t i = 0; i < VF_N; i++)
        r[i] = pair_rows(2 * i < k ? x + 2 * i * ld_x : x, ld_x, n, left_of(k, 2 * i));
    vi_transpose(r);
    for (size_t j = 0; j < VF_N && j < n; j++) vi_store(a + j * ld_a, r[j]);
}

void MN__ISA(mm_turn_bf16)(mn_bf16 *a, size_t ld_a, const float *x, size_t ld_x, size_t n_row,
                           size_t k, size_t k_pad)
{
    for (size_t i = 0; i < k_pad; i += 2 * VF_N)
        for (size_t j = 0; j < n_row; j += VF_N) {
            const size_t rows = left_of(k, i);
            const float *at = rows ? x + i * ld_x + j : x;
            turn_block(a + j * ld_a + i, ld_a, at, ld_x, n_row - j, rows);
        }
}
