/* lane_keep.c: compaction of one lane after an eviction. Survivors close ranks in ascending order,
 * which lets it happen in place: slot j comes from keep[j] >= j, and once j is written nothing
 * looks for the old content of any slot up to keep[j]. A page whose survivors stand in whole,
 * aligned order is moved by its pointer. A shared page is never written: a fresh one takes its
 * place. Fresh pages are taken before anything changes, at most one for every page that is both
 * written and shared. New values (mn__revalue) are written before anything moves, into pages that
 * are the lane's own by then. */
#include <assert.h>
#include <stdbool.h>
#include <string.h>
#include "cache/cache_internal.h"
#include "cache/pool.h"
#include "cache/slot.h"

struct job {
    mn__cache *c;
    mn__lane *l;
    const uint32_t *keep; /* NULL: the first n_keep */
    size_t n_keep;
    const mn__rope *rope;       /* NULL: positions stay */
    int64_t pos0;               /* position of the first survivor, the others follow */
    size_t n_turn;              /* the last survivor that turns is before this one */
    const mn__revalue *revalue; /* NULL: values stay */
    void **fresh;               /* [n_fresh], behind the page list */
    size_t n_fresh;
};

static size_t source(const struct job *job, size_t j)
{
    return job->keep ? job->keep[j] : j;
}

/* Survivors [*begin, *end) make up page i. */
static void page_range(const struct job *job, size_t i, size_t *begin, size_t *end)
{
    *begin = i * MN__PAGE_TOKENS;
    *end = *begin + MN__PAGE_TOKENS < job->n_keep ? *begin + MN__PAGE_TOKENS : job->n_keep;
}

/* Can page i be had by moving a pointer (or leaving it)? Sources ascend, so their ends tell. */
static bool is_whole(const struct job *job, size_t begin, size_t end)
{
    size_t first = source(job, begin);
    return first % MN__PAGE_TOKENS == 0 && source(job, end - 1) - first == end - 1 - begin;
}

static bool turns(const struct job *job, size_t begin, size_t end)
{
    if (!job->rope) return false;
    for (size_t j = begin; j < end; j++)
        if (mn__lane_pos(job->l)[source(job, j)] != job->pos0 + (int64_t)j) return true;
    return false;
}

/* How many fresh pages may be needed. */
static size_t count_fresh(const struct job *job)
{
    size_t n_shared = 0, n_write = 0, begin, end;
    for (size_t i = 0; i < job->l->n_page; i++)
        n_shared += mn__pool_is_shared(job->c->pool, mn__lane_pages(job->l)[i]) != 0;
    if (n_shared == 0) return 0;
    for (size_t i = 0; i < mn__page_count(job->n_keep); i++) {
        page_range(job, i, &begin, &end);
        n_write += !is_whole(job, begin, end) || turns(job, begin, end);
    }
    for (size_t i = 0; job->revalue && i < job->revalue->n; i++)
        n_write += i == 0 || job->revalue->slot[i] / MN__PAGE_TOKENS !=
                                 job->revalue->slot[i - 1] / MN__PAGE_TOKENS;
    return n_write < n_shared ? n_write : n_shared;
}

/* All that can fail: room for origins, and fresh pages. */
static mn_status prepare(struct job *job)
{
    mn__lane *l = job->l;
    size_t n = count_fresh(job);
    while (job->n_turn > 0 && !turns(job, job->n_turn - 1, job->n_turn)) job->n_turn--;
    mn_status st = mn__lane_grow_origin(job->c, l, job->n_turn);
    if (st == MN_OK) st = mn__lane_grow(job->c, l, l->n, l->n_page + n);
    if (st == MN_OK) st = mn__pool_take(job->c->pool, mn__lane_page_list(l) + l->n_page, n);
    if (st == MN_OK) {
        job->fresh = mn__lane_page_list(l) + l->n_page;
        job->n_fresh = n;
    } else {
        mn__lane_cut(job->c, l, l->n);
    }
    return st;
}

/* Make page i writable. Returns the shared page that stood there, whose reference is now the
 * caller's, or NULL. */
static void *replace_shared(struct job *job, size_t i)
{
    void **page = mn__lane_page_list(job->l) + i, *old = *page;
    if (!mn__pool_is_shared(job->c->pool, old)) return NULL;
    assert(job->n_fresh > 0);
    *page = job->fresh[--job->n_fresh];
    return old;
}

/* The same, with what stood there. */
static void copy_shared(struct job *job, size_t i)
{
    void *old = replace_shared(job, i);
    if (!old) return;
    memcpy(mn__lane_page_list(job->l)[i], old,
           mn__pool_page_bytes(job->c->shape.kv_type, job->c->shape.head_dim));
    mn__pool_give(job->c->pool, old);
}

static void change_values(struct job *job)
{
    float v[MN__HEAD_DIM_MAX];
    for (size_t i = 0; job->revalue && i < job->revalue->n; i++) {
        size_t slot = job->revalue->slot[i];
        mn__lane_read(job->c, job->l, slot, 1, NULL, v);
        job->revalue->value(job->revalue, i, v);
        copy_shared(job, slot / MN__PAGE_TOKENS);
        mn__lane_put_row(job->c, job->l, slot, NULL, v);
    }
}

static void build_page(struct job *job, size_t i, size_t begin, size_t end)
{
    void **page = mn__lane_page_list(job->l);
    void *old = replace_shared(job, i);
    for (size_t j = begin, m; j < end; j += m) {
        size_t from = source(job, j), i_src = from / MN__PAGE_TOKENS;
        const void *src = i_src == i && old ? old : page[i_src];
        for (m = 1; j + m < end && source(job, j + m) == from + m; m++)
            if ((from + m) % MN__PAGE_TOKENS == 0) break;
        if (src == page[i] && from == j) continue;
        mn__slot_move(job->c->shape.kv_type, job->c->shape.head_dim, page[i], j - begin, src,
                      from % MN__PAGE_TOKENS, m);
    }
    if (old) mn__pool_give(job->c->pool, old);
}

static void move_pages(struct job *job)
{
    void **page = mn__lane_page_list(job->l);
    size_t begin, end;
    for (size_t i = 0; i < mn__page_count(job->n_keep); i++) {
        page_range(job, i, &begin, &end);
        if (!is_whole(job, begin, end)) {
            build_page(job, i, begin, end);
            continue;
        }
        /* The page that stood here has nothing that later survivors need; it takes the other's
         * place. */
        size_t from = source(job, begin) / MN__PAGE_TOKENS;
        void *spare = page[i];
        page[i] = page[from];
        page[from] = spare;
    }
}

static void move_sides(struct job *job)
{
    struct mn__side side[MN__SIDE_MAX];
    size_t n_side = mn__lane_sides(&job->c->shape, job->l, side);
    for (size_t j = 0, m; j < job->n_keep; j += m) {
        size_t from = source(job, j);
        for (m = 1; j + m < job->n_keep && source(job, j + m) == from + m; m++) {
        }
        for (size_t k = 0; k < n_side && from != j; k++) {
            size_t size = side[k].size;
            uint8_t *data = side[k].span->data;
            memmove(data + j * size, data + from * size, m * size);
        }
    }
}

static void move_origins(struct job *job)
{
    size_t size = mn__origin_bytes(&job->c->shape), n_was = job->l->n_origin, j;
    uint8_t *data = job->l->origin.data;
    for (j = 0; j < job->n_keep && source(job, j) < n_was; j++)
        if (source(job, j) != j) memcpy(data + j * size, data + source(job, j) * size, size);
    job->l->n_origin = j;
}

/* Slots and positions have moved; source(j) is j. */
static void turn_pages(struct job *job)
{
    size_t begin, end;
    job->keep = NULL;
    mn__lane_add_origins(job->c, job->l, job->n_turn);
    for (size_t i = 0; i < mn__page_count(job->n_keep); i++) {
        page_range(job, i, &begin, &end);
        if (!turns(job, begin, end)) continue;
        copy_shared(job, i);
        mn__lane_turn(job->c, job->l, job->rope, begin, end, job->pos0 + (int64_t)begin);
    }
}

mn_status mn__lane_keep(mn__cache *c, size_t layer, size_t head, const uint32_t *keep,
                        size_t n_keep)
{
    return mn__lane_keep_revalued(c, layer, head, keep, n_keep, NULL);
}

mn_status mn__lane_keep_revalued(mn__cache *c, size_t layer, size_t head, const uint32_t *keep,
                                 size_t n_keep, const mn__revalue *r)
{
    mn__lane *l = mn__cache_lane(c, layer, head);
    struct job job = {.c = c, .l = l, .keep = keep, .n_keep = n_keep, .revalue = r};
    assert(c->n_reserved == 0 && n_keep <= l->n);
    assert(n_keep == 0 || source(&job, n_keep - 1) < l->n);
    if (c->shape.compact) {
        job.rope = c->shape.rope[layer];
        job.n_turn = n_keep;
        job.pos0 = c->n_seen - (int64_t)n_keep;
        assert(job.rope->n_rot <= c->shape.head_dim);
    }
    mn_status st = prepare(&job);
    if (st != MN_OK) return st;
    change_values(&job);
    move_pages(&job);
    move_sides(&job);
    move_origins(&job);
    turn_pages(&job);
    while (job.n_fresh > 0) mn__pool_give(c->pool, job.fresh[--job.n_fresh]);
    mn__lane_cut(c, l, n_keep);
    return MN_OK;
}
