/* fidelity.c: options of when a policy acts are the fidelity's (fidelity.h). */
#include "evolve/fidelity.h"

#include <string.h>

#include "base/diag.h"
#include "eval/draft.h"

/* Does an option of n bytes say when a policy acts? `block` is another word for chunk. */
static bool says(const char *option, const char *key)
{
    const size_t n = strlen(key);
    return !strncmp(option, key, n) && option[n] == '=';
}

static bool is_chunk(const char *option)
{
    return says(option, "chunk") || says(option, "block");
}

mn_status mn__fidelity_policy(char *out, size_t cap, const char *file, const char *more, bool reads,
                              mn_diag *diag)
{
    mn__draft text = {0};
    bool has_chunk = false, has_every = false;
    mn__draft_fmt(&text, "namm:file=%s", file);
    for (const char *at = more ? more : ""; *at;) {
        const size_t n = strcspn(at, ",");
        const bool chunk = is_chunk(at), every = says(at, "every");
        has_chunk |= chunk;
        has_every |= every;
        if (reads || (!chunk && !every)) mn__draft_fmt(&text, ",%.*s", (int)n, at);
        at += n + (at[n] == ',');
    }
    if (!reads || !has_chunk) mn__draft_str(&text, reads ? ",chunk=file" : ",chunk=0");
    if (!reads || !has_every) mn__draft_str(&text, reads ? ",every=file" : ",every=0");
    mn_status st = MN_OK;
    if (text.failed)
        st = mn__fail(diag, MN_ENOMEM, "no memory for a policy");
    else if (text.n >= cap)
        st = mn__fail(diag, MN_EUSAGE, "shorter options of policy namm wanted: %zu bytes", text.n);
    else
        memcpy(out, mn__draft_text(&text), text.n + 1);
    mn__draft_free(&text);
    return st;
}
