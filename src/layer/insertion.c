/* insertion.c: reading `mem_insert_way`. */
#include "layer/insertion.h"

#include <stdbool.h>
#include <string.h>

#include "base/diag.h"

/* A number of at most 9 digits; NULL: none stands there. */
static const char *read_number(const char *at, uint32_t *out)
{
    size_t n = strspn(at, "0123456789");
    if (!n || n > 9) return NULL;
    *out = 0;
    for (size_t i = 0; i < n; i++) *out = *out * 10 + (uint32_t)(at[i] - '0');
    return at + n;
}

static mn_status read_pair(const char **text, size_t n_block, mn__insertion *out, mn_diag *diag)
{
    const char *at = read_number(*text, &out->from);
    if (at) at = *at == ':' ? read_number(at + 1, &out->to) : NULL;
    if (!at || (*at && *at != '/') || (*at == '/' && !at[1]))
        return mn__fail(diag, MN_EINPUT,
                        "mem_insert_way: no_mem, full or pairs of blocks I:J joined by / wanted, "
                        "`%.40s` found",
                        *text);
    if (out->from > out->to || out->to >= n_block)
        return mn__fail(diag, MN_ERANGE,
                        "mem_insert_way: I:J with I <= J < %zu blocks wanted, %u:%u found", n_block,
                        out->from, out->to);
    *text = at + (*at == '/');
    return MN_OK;
}

mn_status mn__insertions_parse(const char *text, size_t n_block, mn__insertions *out, mn_diag *diag)
{
    mn__insertions found = {0};
    bool full = strcmp(text, "full") == 0;
    if (full && n_block > MN__INSERTIONS_MAX)
        return mn__fail(diag, MN_ERANGE, "mem_insert_way: at most %d memories, %zu blocks found",
                        MN__INSERTIONS_MAX, n_block);
    for (; full && found.n < n_block; found.n++)
        found.at[found.n] = (mn__insertion){(uint32_t)found.n, (uint32_t)found.n};
    if (!full && strcmp(text, "no_mem") != 0) do {
            if (found.n == MN__INSERTIONS_MAX)
                return mn__fail(diag, MN_ERANGE, "mem_insert_way: at most %d memories",
                                MN__INSERTIONS_MAX);
            mn_status st = read_pair(&text, n_block, &found.at[found.n++], diag);
            if (st != MN_OK) return st;
        } while (*text);
    *out = found;
    return MN_OK;
}
