/* stft_body.h: rings and spectra of VF_N slots at a time; included once per width. A slot's numbers
 * stand together in memory, so they are turned into vectors over slots and back inside the first
 * cache. Windows of 32 take a spectrum folded twice by its symmetries: 258 multiply-adds instead of
 * 1088. */
#include "kern/ref/number_ref.h"

enum { STFT_MOST = 80 }; /* elements of a ring, and more than bins */

/* The first n elements of m <= VF_N slots as n vectors over the slots. */
MN__INLINE void cols_load_f32(vf *col, const float *x, size_t stride, size_t n, size_t m)
{
    size_t e = 0;
    for (; e + VF_N <= n; e += VF_N) {
        vi r[VF_N];
        for (size_t i = 0; i < VF_N; i++)
            r[i] = vi_of_vf(i < m ? vf_load(x + i * stride + e) : vf_set1(0));
        vi_transpose(r);
        for (size_t i = 0; i < VF_N; i++) col[e + i] = vf_of_vi(r[i]);
    }
    for (; e < n; e++) {
        float t[VF_N] = {0};
        for (size_t i = 0; i < m; i++) t[i] = x[i * stride + e];
        col[e] = vf_load(t);
    }
}

MN__INLINE void cols_load_bf16(vf *col, const mn_bf16 *x, size_t stride, size_t n, size_t m)
{
    size_t e = 0;
    for (; e + 2 * VF_N <= n; e += 2 * VF_N) { /* two elements stand in one lane: half the work */
        vi r[VF_N];
        for (size_t i = 0; i < VF_N; i++)
            r[i] = i < m ? vi_load(x + i * stride + e) : vi_of_vf(vf_set1(0));
        vi_transpose(r);
        for (size_t i = 0; i < VF_N; i++) {
            col[e + 2 * i] = vf_pair_even(r[i]);
            col[e + 2 * i + 1] = vf_pair_odd(r[i]);
        }
    }
    for (; e + VF_N <= n; e += VF_N) {
        vi r[VF_N];
        for (size_t i = 0; i < VF_N; i++)
            r[i] = vi_of_vf(i < m ? vf_load_bf16(x + i * stride + e) : vf_set1(0));
        vi_transpose(r);
        for (size_t i = 0; i < VF_N; i++) col[e + i] = vf_of_vi(r[i]);
    }
    for (; e < n; e++) {
        float t[VF_N] = {0};
        for (size_t i = 0; i < m; i++) t[i] = mn__bf16_widen(x[i * stride + e]);
        col[e] = vf_load(t);
    }
}

MN__INLINE void cols_store_f32(float *x, size_t stride, const vf *col, size_t n, size_t m)
{
    size_t e = 0;
    for (; e + VF_N <= n; e += VF_N) {
        vi r[VF_N];
        for (size_t i = 0; i < VF_N; i++) r[i] = vi_of_vf(col[e + i]);
        vi_transpose(r);
        for (size_t i = 0; i < m; i++) vf_store(x + i * stride + e, vf_of_vi(r[i]));
    }
    for (; e < n; e++) {
        float t[VF_N];
        vf_store(t, col[e]);
        for (size_t i = 0; i < m; i++) x[i * stride + e] = t[i];
    }
}

MN__INLINE void cols_store_bf16(mn_bf16 *x, size_t stride, const vf *col, size_t n, size_t m)
{
    size_t e = 0;
    for (; e + 2 * VF_N <= n; e += 2 * VF_N) {
        vi r[VF_N];
        for (size_t i = 0; i < VF_N; i++) r[i] = vi_round_pair(col[e + 2 * i], col[e + 2 * i + 1]);
        vi_transpose(r);
        for (size_t i = 0; i < m; i++) vi_store(x + i * stride + e, r[i]);
    }
    for (; e + VF_N <= n; e += VF_N) {
        vi r[VF_N];
        for (size_t i = 0; i < VF_N; i++) r[i] = vi_of_vf(col[e + i]);
        vi_transpose(r);
        for (size_t i = 0; i < m; i++) vf_store_bf16(x + i * stride + e, vf_of_vi(r[i]));
    }
    for (; e < n; e++) {
        mn_bf16 t[VF_N];
        vf_store_bf16(t, col[e]);
        for (size_t i = 0; i < m; i++) x[i * stride + e] = t[i];
    }
}

/* cos(2 pi k / 32); a sine is a cosine eight places before. */
static const float turn32[32] = {
    1.0f,         0.98078528f,  0.92387953f,  0.83146961f,  0.70710678f,  0.55557023f,
    0.38268343f,  0.19509032f,  0.0f,         -0.19509032f, -0.38268343f, -0.55557023f,
    -0.70710678f, -0.83146961f, -0.92387953f, -0.98078528f, -1.0f,        -0.98078528f,
    -0.92387953f, -0.83146961f, -0.70710678f, -0.55557023f, -0.38268343f, -0.19509032f,
    0.0f,         0.19509032f,  0.38268343f,  0.55557023f,  0.70710678f,  0.83146961f,
    0.92387953f,  0.98078528f};

MN__INLINE vf magnitude(vf re, vf im)
{
    return vf_sqrt_fast(vf_fma(re, re, vf_mul(im, im)));
}

/* |X[f]|, f = 0, 2 .. 16: cosines of x[n] + x[32-n] are even around n = 8, sines of the difference
 * odd. e: even[9], o: odd[8], of which [1, 8) count. */
MN__INLINE void even_bins(vf *mag, const vf *e, const vf *o)
{
#pragma GCC unroll 9
    for (int f = 0; f <= 16; f += 2) {
        vf re = e[0], im = vf_set1(0);
#pragma GCC unroll 9
        for (int n = 1; n <= 8; n++) re = vf_fma(e[n], vf_set1(turn32[f * n & 31]), re);
#pragma GCC unroll 9
        for (int n = 1; n < 8; n++) im = vf_fma(o[n], vf_set1(turn32[(f * n + 24) & 31]), im);
        mag[f] = magnitude(re, im);
    }
}

/* f = 1, 3 .. 15: the other way round. o: [0, 8) count, e: [1, 9). */
MN__INLINE void odd_bins(vf *mag, const vf *o, const vf *e)
{
#pragma GCC unroll 8
    for (int f = 1; f < 16; f += 2) {
        vf re = o[0], im = vf_set1(0);
#pragma GCC unroll 8
        for (int n = 1; n < 8; n++) re = vf_fma(o[n], vf_set1(turn32[f * n & 31]), re);
#pragma GCC unroll 8
        for (int n = 1; n <= 8; n++) im = vf_fma(e[n], vf_set1(turn32[(f * n + 24) & 31]), im);
        mag[f] = magnitude(re, im);
    }
}

/* basis[0] is the window. */
MN__INLINE void bins32(vf *mag, const vf *col, size_t first, const float *window)
{
    vf u[17], v[16], even[9], odd[9];
#define VALUE(n) vf_mul(col[(first + (n)) & 31], vf_set1(window[n]))
    u[0] = VALUE(0);
    u[16] = VALUE(16);
    for (size_t n = 1; n < 16; n++) {
        vf a = VALUE(n), b = VALUE(32 - n);
        u[n] = vf_add(a, b);
        v[n] = vf_sub(a, b);
    }
#undef VALUE
    for (size_t n = 0; n < 8; n++) even[n] = vf_add(u[n], u[16 - n]);
    for (size_t n = 1; n < 8; n++) odd[n] = vf_sub(v[n], v[16 - n]);
    even[8] = u[8];
    even_bins(mag, even, odd);
    for (size_t n = 0; n < 8; n++) odd[n] = vf_sub(u[n], u[16 - n]);
    for (size_t n = 1; n < 8; n++) even[n] = vf_add(v[n], v[16 - n]);
    even[8] = v[8];
    odd_bins(mag, odd, even);
}

MN__INLINE void bins_any(vf *mag, const vf *col, size_t n_ring, size_t first, const float *basis,
                         size_t n_win)
{
    for (size_t f = 0; f <= n_win / 2; f++, basis += 2 * n_win) {
        vf re = vf_set1(0), im = vf_set1(0);
        for (size_t m = 0, at = first; m < n_win; m++, at = at + 1 < n_ring ? at + 1 : 0) {
            re = vf_fma(col[at], vf_set1(basis[m]), re);
            im = vf_fma(col[at], vf_set1(basis[n_win + m]), im);
        }
        mag[f] = magnitude(re, im);
    }
}

/* col [n_ring] of the ring becomes the averages' change: mag [n_win/2 + 1]. */
MN__INLINE void bins(vf *mag, const vf *col, size_t n_ring, size_t first, const float *basis,
                     size_t n_win)
{
    if (n_win == 32 && n_ring == 32)
        bins32(mag, col, first, basis);
    else
        bins_any(mag, col, n_ring, first, basis, n_win);
}

#define STFT(type, name)                                                                           \
    MN__INLINE void stft_##name(type *ema, const type *ring, size_t stride, size_t n_ring,         \
                                size_t first, const float *basis, size_t n_win, float a, size_t m) \
    {                                                                                              \
        vf col[STFT_MOST], mag[STFT_MOST], keep = vf_set1(a), part = vf_set1(1 - a);               \
        size_t n_bin = n_win / 2 + 1;                                                              \
        cols_load_##name(col, ring, stride, n_ring, m);                                            \
        bins(mag, col, n_ring, first, basis, n_win);                                               \
        cols_load_##name(col, ema, stride, n_bin, m);                                              \
        for (size_t f = 0; f < n_bin; f++) col[f] = vf_fma(keep, col[f], vf_mul(part, mag[f]));    \
        cols_store_##name(ema, stride, col, n_bin, m);                                             \
    }                                                                                              \
    void MN__ISA(stft_ema_##name)(type * ema, const type *ring, size_t stride, size_t n_ring,      \
                                  size_t first, const float *basis, size_t n_win, float a,         \
                                  size_t n)                                                        \
    {                                                                                              \
        for (; n >= VF_N; n -= VF_N, ema += VF_N * stride, ring += VF_N * stride)                  \
            stft_##name(ema, ring, stride, n_ring, first, basis, n_win, a, VF_N);                  \
        if (n) stft_##name(ema, ring, stride, n_ring, first, basis, n_win, a, n);                  \
    }
STFT(float, f32)
STFT(mn_bf16, bf16)
#undef STFT

/* n_row <= RING_ROWS rows over m slots. */
enum { RING_ROWS = 16 };

#define RING_PUT(type, name)                                                                     \
    MN__INLINE void ring_##name(type *ring, size_t stride, const float *p, size_t ld_p,          \
                                const float *w, size_t n_row, size_t m)                          \
    {                                                                                            \
        vf col[RING_ROWS];                                                                       \
        for (size_t r = 0; r < RING_ROWS; r++)                                                   \
            col[r] = r < n_row ? vf_mul(vf_load_n(p + r * ld_p, m), vf_set1(w[r])) : vf_set1(0); \
        cols_store_##name(ring, stride, col, n_row, m);                                          \
    }                                                                                            \
    void MN__ISA(ring_put_##name)(type * ring, size_t stride, const float *p, size_t ld_p,       \
                                  const float *w, size_t n_row, size_t n)                        \
    {                                                                                            \
        for (; n > 0; p += VF_N, ring += VF_N * stride) {                                        \
            size_t m = n < VF_N ? n : VF_N;                                                      \
            if (n_row == RING_ROWS && m == VF_N)                                                 \
                ring_##name(ring, stride, p, ld_p, w, RING_ROWS, VF_N);                          \
            else                                                                                 \
                ring_##name(ring, stride, p, ld_p, w, n_row, m);                                 \
            n -= m;                                                                              \
        }                                                                                        \
    }
RING_PUT(float, f32)
RING_PUT(mn_bf16, bf16)
#undef RING_PUT
