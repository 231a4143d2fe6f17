/* batch.c: no list of windows is shuffled or kept: a block cipher over the numbers of windows is
 * asked for one place at a time. */
#include "train/batch.h"

#include "base/diag.h"
#include "base/heap.h"
#include "base/rng.h"

enum { PURPOSE = 0x62746368 /* "btch" */, ROUNDS = 8 };

static uint32_t mix(uint64_t seed, uint64_t epoch, uint32_t round, uint32_t half)
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    const uint32_t ctr[4] = {half, (uint32_t)epoch, (uint32_t)(epoch >> 32), PURPOSE + round};
    uint32_t out[4];
    mn__philox(key, ctr, out);
    return out[0];
}

/* A balanced Feistel network over 2 h bits, the fewest that n numbers take: a permutation of all
 * 4^h < 4 n numbers. Those outside [0, n) are sent on until they come back inside, which keeps it
 * one of [0, n). Ref: Black, Rogaway, "Ciphers with arbitrary finite domains", 2002 (cycle
 * walking). */
uint64_t mn__batch_order(uint64_t seed, uint64_t epoch, uint64_t n, uint64_t i)
{
    unsigned h = 1;
    while (h < 32 && (n - 1) >> (2 * h)) h++;
    const uint64_t mask = (UINT64_C(1) << h) - 1;
    do {
        uint64_t left = i >> h, right = i & mask;
        for (uint32_t round = 0; round < ROUNDS; round++) {
            uint64_t next = left ^ (mix(seed, epoch, round, (uint32_t)right) & mask);
            left = right;
            right = next;
        }
        i = left << h | right;
    } while (i >= n);
    return i;
}

static mn_status check(const mn__batch_params *p, mn_diag *diag)
{
    if (!p->n_shard || !p->len || !p->n_row)
        return mn__fail(diag, MN_EUSAGE, "shards, a length and rows wanted, %zu, %zu and %zu found",
                        p->n_shard, p->len, p->n_row);
    if (p->rank >= p->n_rank || p->n_row % p->n_rank)
        return mn__fail(diag, MN_EUSAGE,
                        "rows of a step: a multiple of the %zu ranks wanted, %zu found (rank %zu)",
                        p->n_rank, p->n_row, p->rank);
    for (size_t i = 1; i < p->n_shard; i++)
        if (p->shard[i].info.vocab_hash != p->shard[0].info.vocab_hash)
            return mn__fail(diag, MN_EINPUT,
                            "shards of one tokenizer wanted, %016llx and %016llx found",
                            (unsigned long long)p->shard[0].info.vocab_hash,
                            (unsigned long long)p->shard[i].info.vocab_hash);
    return MN_OK;
}

mn_status mn__batches_init(mn__batches *out, const mn__batch_params *params, mn_diag *diag)
{
    mn__batches b = {.p = *params};
    mn_status st;
    *out = (mn__batches){0};
    if (!b.p.n_rank) b.p.n_rank = 1;
    MN_TRY(check(&b.p, diag));
    b.n_own = b.p.n_row / b.p.n_rank;
    b.first = mn__alloc_array(MN_MEM_OTHER, b.p.n_shard + 1, sizeof *b.first);
    if (!b.first) return mn__fail(diag, MN_ENOMEM, "no memory for %zu shards", b.p.n_shard);
    for (size_t i = 0; i < b.p.n_shard; i++) {
        b.first[i] = b.n_window;
        b.n_window += (b.p.shard[i].info.n_token - 1) / b.p.len; /* a shard has a token */
    }
    b.first[b.p.n_shard] = b.n_window;
    b.from = (uint64_t)(b.p.begin * (double)b.n_window);
    if (b.p.end > 0) b.n_window = (uint64_t)(b.p.end * (double)b.n_window);
    b.n_window -= b.from;
    if (!b.n_window)
        MN_TRY(mn__fail(diag, MN_EINPUT, "a shard of %zu tokens at least wanted, none found",
                        b.p.len + 1));
    *out = b;
    return MN_OK;
done:
    mn__batches_fini(&b);
    return st;
}

void mn__batches_fini(mn__batches *b)
{
    mn__free(b->first);
    *b = (mn__batches){0};
}

static void read_window(const mn__batches *b, uint64_t window, int32_t *out)
{
    size_t low = 0, high = b->p.n_shard; /* first[low] <= window < first[high] */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (b->first[middle] <= window)
            low = middle;
        else
            high = middle;
    }
    mn__shard_read(&b->p.shard[low], (window - b->first[low]) * b->p.len, b->p.len + 1, out);
}

void mn__batches_row(const mn__batches *b, uint64_t step, uint64_t row, int32_t *out)
{
    const uint64_t at = step * b->p.n_row + row, epoch = at / b->n_window;
    const uint64_t place = mn__batch_order(b->p.seed, epoch, b->n_window, at % b->n_window);
    read_window(b, b->from + place, out);
}

void mn__batches_read(const mn__batches *b, uint64_t step, int32_t *out)
{
    for (size_t i = 0; i < b->n_own; i++)
        mn__batches_row(b, step, b->p.rank * b->n_own + i, out + i * (b->p.len + 1));
}
