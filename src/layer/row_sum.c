/* row_sum.c: of a split table, P ranks, columns [rank w, rank w + w) of each row here:
 *
 *   forward:  hits and weights to all -> sums of w columns for all tokens -> to the token's rank
 *   backward: dsum, w columns to each -> dtable; dweight of these columns -> to the token's rank,
 *             where those of ranks that share a part are added in their order
 *
 * A table's gradient is whole where its columns are: nothing else is sent for it. */
#include "layer/row_sum.h"

#include <string.h>
#include "layer/hits.h"
#include "layer/peers.h"

/* A pass over the columns here. */
typedef struct far_pass {
    const mn__row_sum *u;
    mn__peers *peers;
    size_t n, n_rank, n_hit; /* tokens of a rank, hits of all of them */
    mn__bag bag;             /* of the columns here */
} far_pass;

static bool is_far(const mn__row_sum *u, const mn__env *env)
{
    return env->peers && u->table->whole;
}

static far_pass far_of(const mn__row_sum *u, const mn__env *env, size_t n)
{
    far_pass p = {u, env->peers, n, (size_t)env->peers->ranks.n, n * u->bag.n_hit, u->bag};
    p.bag.width /= p.n_rank;
    p.bag.n_part = mn__part_count(u->bag.n_part, p.n_rank);
    return p;
}

/* The first part that columns of rank q belong to. */
static size_t part_of(const far_pass *p, size_t q)
{
    return q * p->u->bag.n_part / p->n_rank;
}

/* Weights of the parts of each rank, one behind another: out [ranks][n n_hit][n_part]. */
static void pack_weights(const far_pass *p, mn__real *out)
{
    const size_t n_part = p->bag.n_part, n_all = p->u->bag.n_part;
    for (size_t q = 0; q < p->n_rank; q++)
        for (size_t i = 0; i < p->n_hit; i++, out += n_part)
            memcpy(out, p->u->hits.weight + i * n_all + part_of(p, q), n_part * sizeof *out);
}

/* Where a hit goes, in 4 bytes: row and block. */
static void send_hits(const far_pass *p, const mn__row_sum_far *far, uint32_t *cell, mn__real *part)
{
    const mn__bag_hits *hits = &p->u->hits;
    const uint32_t n_row = (uint32_t)p->bag.n_row;
    for (size_t i = 0; i < p->n_hit; i++)
        cell[i] = hits->row[i] + (hits->block ? hits->block[i] * n_row : 0);
    pack_weights(p, part);
    mn__peers_swap_even(p->peers, MN__PEERS_LOOK_UP, cell, 0, far->row, p->n_hit * sizeof *cell);
    const size_t n = p->n_hit * p->bag.n_part;
    mn__peers_swap_even(p->peers, MN__PEERS_LOOK_UP, part, n * sizeof *part, far->weight,
                        n * sizeof *part);
    for (size_t i = 0; i < p->n_rank * p->n_hit; i++) {
        far->block[i] = far->row[i] / n_row;
        far->row[i] %= n_row; /* whatever a swap that failed has left here */
        if (far->block[i] >= p->bag.n_block) far->block[i] = 0;
    }
}

/* Rows of whole sums from or to those of each rank's columns, [ranks][n n_block][width]. */
static void spread_columns(const far_pass *p, mn__real *whole, mn__real *cut, bool is_to_cut)
{
    const size_t width = p->bag.width, n = p->n * p->bag.n_block;
    for (size_t q = 0; q < p->n_rank; q++)
        for (size_t i = 0; i < n; i++, cut += width) {
            mn__real *at = whole + (i * p->n_rank + q) * width;
            memcpy(is_to_cut ? cut : at, is_to_cut ? at : cut, width * sizeof *cut);
        }
}

static mn__bag_hits hits_of(const mn__row_sum_far *far)
{
    return (mn__bag_hits){far->row, far->block, far->weight};
}

static void forward_far(const mn__row_sum *u, const mn__env *env, size_t n, mn__real *sum,
                        mn__row_sum_far *kept)
{
    const far_pass p = far_of(u, env, n);
    const size_t begin = mn__tape_mark(env->tape), n_all = p.n_rank * p.n_hit,
                 n_sum = n * p.bag.n_block * p.bag.width;
    const mn__row_sum_far far = {mn__tape_take(env->tape, n_all, sizeof(uint32_t)),
                                 mn__tape_take(env->tape, n_all, sizeof(uint32_t)),
                                 mn__take_reals(env, n_all * p.bag.n_part)};
    const size_t mark = mn__tape_mark(env->tape);
    uint32_t *cell = mn__tape_take(env->tape, p.n_hit, sizeof *cell);
    mn__real *part = mn__take_reals(env, n_all * p.bag.n_part),
             *mine = mn__take_reals(env, p.n_rank * n_sum),
             *back = mn__take_reals(env, p.n_rank * n_sum);
    const mn__bag_hits hits = hits_of(&far);
    if (!mn__env_is_dry(env)) send_hits(&p, &far, cell, part);
    mn__hits_touch(env, u->table, far.row, n_all);
    mn__bag_forward(&p.bag, env, p.n_rank * n, u->table, &hits, mine);
    if (!mn__env_is_dry(env)) {
        mn__peers_swap_even(p.peers, MN__PEERS_LOOK_UP, mine, n_sum * sizeof *mine, back,
                            n_sum * sizeof *mine);
        spread_columns(&p, sum, back, false);
    }
    if (kept) *kept = far;
    mn__tape_cut(env->tape, kept ? mark : begin);
}

void mn__row_sum_forward(const mn__row_sum *u, const mn__env *env, size_t n, mn__real *sum,
                         mn__row_sum_far *far)
{
    if (is_far(u, env)) {
        forward_far(u, env, n, sum, far);
        return;
    }
    mn__hits_touch(env, u->table, u->hits.row, n * u->bag.n_hit);
    mn__bag_forward(&u->bag, env, n, u->table, &u->hits, sum);
}

/* back [ranks][n n_hit][n_part] of each rank's columns. */
static void add_weights(const far_pass *p, const mn__real *back, mn__real *dweight)
{
    const size_t n_part = p->bag.n_part, n_all = p->u->bag.n_part;
    memset(dweight, 0, p->n_hit * n_all * sizeof *dweight);
    for (size_t q = 0; q < p->n_rank; q++)
        for (size_t i = 0; i < p->n_hit; i++, back += n_part)
            for (size_t c = 0; c < n_part; c++) dweight[i * n_all + part_of(p, q) + c] += back[c];
}

static void backward_far(const mn__row_sum *u, const mn__env *env, size_t n,
                         const mn__row_sum_far *far, const mn__real *dsum, mn__real *dweight)
{
    const far_pass p = far_of(u, env, n);
    const size_t mark = mn__tape_mark(env->tape), n_sum = n * p.bag.n_block * p.bag.width,
                 n_weight = p.n_hit * p.bag.n_part;
    mn__real *cut = mn__take_reals(env, p.n_rank * n_sum),
             *dall = mn__take_reals(env, p.n_rank * n_sum),
             *part = mn__take_reals(env, p.n_rank * n_weight),
             *back = mn__take_reals(env, p.n_rank * n_weight);
    const mn__bag_hits hits = hits_of(far);
    if (!mn__env_is_dry(env)) {
        spread_columns(&p, (mn__real *)dsum, cut, true); /* read alone */
        mn__peers_swap_even(p.peers, MN__PEERS_LOOK_UP_BACK, cut, n_sum * sizeof *cut, dall,
                            n_sum * sizeof *cut);
    }
    mn__bag_backward(&p.bag, env, p.n_rank * n, u->table->w, &hits, dall, part, u->table->g);
    if (!mn__env_is_dry(env)) {
        mn__peers_swap_even(p.peers, MN__PEERS_LOOK_UP_BACK, part, n_weight * sizeof *part, back,
                            n_weight * sizeof *part);
        add_weights(&p, back, dweight);
    }
    mn__tape_cut(env->tape, mark);
}

void mn__row_sum_backward(const mn__row_sum *u, const mn__env *env, size_t n,
                          const mn__row_sum_far *far, const mn__real *dsum, mn__real *dweight)
{
    if (is_far(u, env))
        backward_far(u, env, n, far, dsum, dweight);
    else
        mn__bag_backward(&u->bag, env, n, u->table->w, &u->hits, dsum, dweight, u->table->g);
}
