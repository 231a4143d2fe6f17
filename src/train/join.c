/* join.c: a run of n values is cut into one piece for each rank, which adds that piece of all ranks
 * and gives the sum to all: 2 (P - 1) / P n values are sent by each of P. */
#include "train/join.h"

#include <string.h>
#include "base/diag.h"

enum { RUN = 1 << 18, GATHER_ROWS = 1 << 12 };

mn_status mn__join_init(mn__join *out, const mn__adamw *o, mn__peers *peers, mn_diag *diag)
{
    mn__join j = {.peers = peers, .room = RUN};
    const size_t n_rank = (size_t)peers->ranks.n;
    size_t n_row = 0;
    *out = (mn__join){0};
    for (size_t i = 0; i < o->n_table; i++) {
        const mn__adamw_table *t = &o->table[i];
        if (t->p->whole) continue;
        if (t->n_row > n_row) n_row = t->n_row;
        if (t->p->row > j.room) j.room = t->p->row;
    }
    j.run = mn__alloc_zero(MN_MEM_GRAD, j.room * sizeof *j.run);
    j.in = mn__alloc_zero(MN_MEM_GRAD, (j.room + n_rank * n_rank) * sizeof *j.in);
    if (n_row) j.hit = mn__alloc_zero(MN_MEM_GRAD, n_rank * n_row);
    if (!j.run || !j.in || (n_row && !j.hit)) {
        mn__join_fini(&j);
        return mn__fail(diag, MN_ENOMEM, "no memory to add gradients of %zu ranks", n_rank);
    }
    *out = j;
    return MN_OK;
}

void mn__join_fini(mn__join *j)
{
    mn__free(j->run);
    mn__free(j->in);
    mn__free(j->hit);
    *j = (mn__join){0};
}

/* ---- gradients ---- */

/* x [n], n at most j->room. */
static void add_run(mn__join *j, mn__real *x, size_t n)
{
    const size_t n_rank = (size_t)j->peers->ranks.n, self = (size_t)j->peers->ranks.rank,
                 begin = self * n / n_rank, own = (self + 1) * n / n_rank - begin;
    mn_train_block with[MN__PEERS_MAX] = {{0}};
    for (size_t q = 0; q < n_rank; q++) {
        const size_t at = q * n / n_rank, piece = (q + 1) * n / n_rank - at;
        with[q] = (mn_train_block){x + at, j->in + q * own, piece * sizeof *x, own * sizeof *x};
    }
    mn__peers_swap(j->peers, MN__PEERS_GRADIENTS, with);
    for (size_t i = 0; i < own; i++) {
        mn__real sum = 0;
        for (size_t q = 0; q < n_rank; q++) sum += j->in[q * own + i];
        x[begin + i] = sum;
    }
    for (size_t q = 0; q < n_rank; q++) {
        const size_t at = q * n / n_rank, piece = (q + 1) * n / n_rank - at;
        with[q] = (mn_train_block){x + begin, x + at, own * sizeof *x, piece * sizeof *x};
    }
    mn__peers_swap(j->peers, MN__PEERS_GRADIENTS, with);
}

static void add_all(mn__join *j, mn__real *x, size_t n)
{
    for (size_t at = 0; at < n; at += j->room)
        add_run(j, x + at, n - at < j->room ? n - at : j->room);
}

/* Rows that any rank has read, as many at a time as there is room for. */
static void add_rows(mn__join *j, mn__adamw_table *t)
{
    const size_t n_rank = (size_t)j->peers->ranks.n, width = t->p->row, most = j->room / width;
    mn__peers_swap_even(j->peers, MN__PEERS_GRADIENTS, t->hit, 0, j->hit, t->n_row);
    for (size_t row = 0; row < t->n_row;) {
        const size_t first = row;
        size_t n = 0;
        for (; row < t->n_row && n < most; row++) {
            bool is_hit = false;
            for (size_t q = 0; q < n_rank; q++) is_hit |= j->hit[q * t->n_row + row];
            if (!is_hit) continue;
            if (!t->hit[row]) t->hook.touch(&t->hook, row); /* what it is owed comes first */
            memcpy(j->run + n++ * width, t->p->g + row * width, width * sizeof *j->run);
        }
        add_run(j, j->run, n * width);
        n = 0;
        for (size_t r = first; r < row; r++)
            if (t->hit[r])
                memcpy(t->p->g + r * width, j->run + n++ * width, width * sizeof *j->run);
    }
}

static mn__adamw_table *table_of(const mn__adamw *o, const mn__param *p)
{
    for (size_t i = 0; i < o->n_table; i++)
        if (o->table[i].p == p) return &o->table[i];
    return NULL;
}

/* Parameters that lie side by side go as one. */
void mn__join_gradients(mn__join *j, const mn__adamw *o)
{
    mn__real *begin = NULL, *end = NULL;
    for (size_t i = 0; i < o->list->n; i++) {
        mn__param *p = o->list->at[i];
        mn__adamw_table *t = table_of(o, p);
        if (!p->g) continue;
        if (p->whole || t) {
            if (begin) add_all(j, begin, (size_t)(end - begin));
            begin = NULL;
            if (!p->whole) add_rows(j, t);
            continue;
        }
        if (!begin) begin = p->g;
        end = p->g + mn__param_size(p);
    }
    if (begin) add_all(j, begin, (size_t)(end - begin));
}

/* ---- tables in parts ---- */

/* Rows [row, row + n) from all ranks to rank 0; buffer [ranks][GATHER_ROWS][width]. */
static void gather_rows(const mn__param *p, mn__peers *peers, const mn__real *x, size_t row,
                        size_t n, mn__real *buffer, mn__real *whole)
{
    mn_train_block with[MN__PEERS_MAX] = {{0}};
    const size_t n_rank = (size_t)peers->ranks.n, bytes = n * p->row * sizeof *x;
    for (size_t q = 0; q < n_rank; q++)
        with[q] = (mn_train_block){x + row * p->row, whole ? buffer + q * n * p->row : NULL,
                                   q ? 0 : bytes, whole ? bytes : 0};
    mn__peers_swap(peers, MN__PEERS_REST, with);
    for (size_t q = 0; whole && q < n_rank; q++)
        for (size_t r = 0; r < n; r++)
            memcpy(whole + (row + r) * p->whole + q * p->row, buffer + (q * n + r) * p->row,
                   p->row * sizeof *x);
}

mn_status mn__join_whole(const mn__params *list, mn__peers *peers, const mn__real *x,
                         mn__real *whole, mn_diag *diag)
{
    size_t widest = 0, at = 0;
    for (size_t i = 0; i < list->n; i++)
        if (list->at[i]->whole > widest) widest = list->at[i]->whole;
    mn__real *buffer =
        whole ? mn__alloc_zero(MN_MEM_OTHER, GATHER_ROWS * widest * sizeof *buffer) : NULL;
    if (whole && !buffer)
        return mn__fail(diag, MN_ENOMEM, "no memory to bring parts of tables together");
    for (size_t i = 0; i < list->n; i++) {
        const mn__param *p = list->at[i];
        if (p->group == MN__PARAM_STATE) continue;
        const size_t n_row = p->whole ? mn__param_size(p) / p->row : 0;
        if (!p->whole && whole) memcpy(whole + at, x + p->at, mn__param_size(p) * sizeof *x);
        for (size_t row = 0; row < n_row; row += GATHER_ROWS)
            gather_rows(p, peers, x + p->at, row,
                        n_row - row < GATHER_ROWS ? n_row - row : GATHER_ROWS, buffer,
                        whole ? whole + at : NULL);
        at += mn__param_whole(p);
    }
    mn__free(buffer);
    return mn__peers_status(peers, diag);
}

void mn__join_part(const mn__params *list, const mn__real *whole, mn__real *x)
{
    for (size_t i = 0; i < list->n; i++) {
        const mn__param *p = list->at[i];
        const size_t n = mn__param_size(p);
        if (p->group == MN__PARAM_STATE) continue;
        if (!p->whole) memcpy(x + p->at, whole, n * sizeof *x);
        for (size_t r = 0; p->whole && r < n / p->row; r++)
            memcpy(x + p->at + r * p->row, whole + r * p->whole + p->from, p->row * sizeof *x);
        whole += mn__param_whole(p);
    }
}
