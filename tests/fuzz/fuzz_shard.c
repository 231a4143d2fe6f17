/* fuzz_shard.c: any bytes at all as a shard of tokens. Either they are refused with a sentence, or
 * every token that a batch hands out is of the vocabulary. The sums of the input are made right
 * first, where its first byte says so: else no fuzzer would come past them. */
#include "train/batch.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEADER = 128, HASH_AT = 16, TOKEN_SUM_AT = 48, HEADER_SUM_AT = 120, BLOCK = 1 << 16 };

/* Survives NDEBUG: a finding must stop the fuzzer. */
static void check(int holds)
{
    if (!holds) abort();
}

static void make_sums_right(uint8_t *shard, size_t size)
{
    uint64_t sum = 0;
    for (size_t at = HEADER; at < size; at += BLOCK)
        sum = mn__hash64(shard + at, size - at < BLOCK ? size - at : BLOCK, sum);
    memcpy(shard + TOKEN_SUM_AT, &sum, sizeof sum);
    sum = mn__hash64(shard, HEADER_SUM_AT, 0);
    memcpy(shard + HEADER_SUM_AT, &sum, sizeof sum);
}

static void read_batches(const mn__shard *shard)
{
    enum { LEN = 3, ROWS = 2 };
    const mn__batch_params p = {.shard = shard, .n_shard = 1, .len = LEN, .n_row = ROWS};
    int32_t rows[ROWS * (LEN + 1)];
    mn__batches b;
    mn_diag diag = {""};
    if (mn__batches_init(&b, &p, &diag) != MN_OK) {
        check(shard->info.n_token <= LEN);
        return;
    }
    for (uint64_t step = 0; step < 20; step++) {
        mn__batches_read(&b, step, rows);
        for (size_t i = 0; i < ROWS * (LEN + 1); i++)
            check(rows[i] >= 0 && (uint32_t)rows[i] < shard->info.n_vocab);
    }
    mn__batches_fini(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mn__shard s;
    mn_diag diag = {""};
    uint64_t hash = 0;
    if (!size) return 0;
    bool repair = data[0] & 1;
    size--;
    uint8_t *shard = malloc(size ? size : 1); /* of exactly its size, for sanitizers */
    check(shard != NULL);
    memcpy(shard, data + 1, size);
    if (repair && size >= HEADER) make_sums_right(shard, size);
    if (size >= HEADER) memcpy(&hash, shard + HASH_AT, sizeof hash);
    if (mn__shard_parse(&s, shard, size, "input", hash, &diag) != MN_OK) {
        check(!s.token && strncmp(diag.text, "input: ", 7) == 0);
    } else {
        check(s.info.n_token * s.token_bytes + HEADER == size);
        check(s.info.end >= 0 && (uint32_t)s.info.end < s.info.n_vocab);
        read_batches(&s);
        mn__shard_close(&s);
    }
    free(shard);
    return 0;
}
