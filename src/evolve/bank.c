/* bank.c: a short list of readings, the last used in front. One lock guards the list; reading,
 * saving and loading run outside, by the thread that has marked the reading as in use. Two threads
 * that want the same prompt at once each get a session of their own. */
#include "evolve/bank.h"

#include <ctype.h>
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"
#include "model/model.h"

enum { PATH = 4096 };

typedef struct entry {
    struct entry *next, *next_idle;
    uint64_t hash, id;
    size_t n, bytes;
    bool in_use, has_file;
    mn_session *session; /* NULL: in its file alone */
    float *logits;       /* [V] */
    int32_t *token;      /* [n] */
} entry;

struct mn__bank {
    mn__bank_params p;
    pthread_mutex_t lock;
    entry *first;
    uint64_t n_made;
    mn__bank_info info;
};

/* ---- files ---- */

static const char *path_of(const mn__bank *b, const entry *e, char out[PATH])
{
    snprintf(out, PATH, "%s/%zu-%llu.reading", b->p.folder, b->p.rank, (unsigned long long)e->id);
    return out;
}

/* Its own, or of a rank that is not there. */
static bool may_clear(const mn__bank *b, const char *name)
{
    char *end;
    if (!isdigit((unsigned char)*name)) return false;
    const unsigned long long rank = strtoull(name, &end, 10);
    return *end == '-' && strstr(end, ".reading") &&
           (rank == b->p.rank || (b->p.rank == 0 && b->p.n_rank && rank >= b->p.n_rank));
}

/* What a run that was killed left behind, with more ranks perhaps. Others of this run may be
 * writing. */
static void clear_folder(const mn__bank *b)
{
    char path[PATH];
    DIR *d = opendir(b->p.folder);
    for (const struct dirent *f; d && (f = readdir(d));)
        if (may_clear(b, f->d_name) && snprintf(path, PATH, "%s/%s", b->p.folder, f->d_name) < PATH)
            unlink(path);
    if (d) closedir(d);
}

mn_status mn__bank_new(mn__bank **out, const mn__bank_params *params, mn_diag *diag)
{
    *out = NULL;
    mn__bank *b = mn__alloc_zero(MN_MEM_OTHER, sizeof *b);
    if (!b) return mn__fail(diag, MN_ENOMEM, "no memory for readings");
    b->p = *params;
    b->p.session.policy = "full";
    b->p.session.budget = "";
    b->p.session.also = params->also;
    b->p.session.n_also = params->n_also;
    pthread_mutex_init(&b->lock, NULL);
    if (b->p.folder) {
        mkdir(b->p.folder, 0777);
        clear_folder(b);
    }
    *out = b;
    return MN_OK;
}

static void free_entry(const mn__bank *b, entry *e)
{
    char path[PATH];
    if (!e) return;
    if (e->has_file) unlink(path_of(b, e, path));
    mn_session_free(e->session);
    mn__free(e->logits);
    mn__free(e->token);
    mn__free(e);
}

void mn__bank_free(mn__bank *b)
{
    if (!b) return;
    while (b->first) {
        entry *e = b->first;
        b->first = e->next;
        free_entry(b, e);
    }
    if (b->p.folder) rmdir(b->p.folder); /* unless another rank's files are in it */
    pthread_mutex_destroy(&b->lock);
    mn__free(b);
}

/* ---- the list ---- */

static void put_in_front(mn__bank *b, entry *e)
{
    e->next = b->first;
    b->first = e;
    b->info.bytes += e->session ? e->bytes : 0;
    b->info.n_kept++;
}

static void take_out(mn__bank *b, entry **at)
{
    entry *e = *at;
    *at = e->next;
    b->info.bytes -= e->session ? e->bytes : 0;
    b->info.n_kept--;
}

static entry *find(mn__bank *b, uint64_t hash, const int32_t *token, size_t n)
{
    pthread_mutex_lock(&b->lock);
    entry **at = &b->first, *e = NULL;
    while (*at && ((*at)->in_use || (*at)->hash != hash || (*at)->n != n ||
                   memcmp((*at)->token, token, n * sizeof *token)))
        at = &(*at)->next;
    if (*at) {
        e = *at;
        take_out(b, at);
        put_in_front(b, e);
        e->in_use = true;
        b->info.n_found++;
    }
    pthread_mutex_unlock(&b->lock);
    return e;
}

/* Those in memory that nobody uses go from the end: marked as in use, for the caller to put away
 * outside the lock. */
static entry *over_limit(mn__bank *b)
{
    entry *idle = NULL;
    for (size_t bytes = b->info.bytes; bytes > b->p.max_bytes;) {
        entry *last = NULL;
        for (entry *e = b->first; e; e = e->next)
            if (!e->in_use && e->session) last = e;
        if (!last) break;
        bytes -= last->bytes;
        last->in_use = true;
        last->next_idle = idle;
        idle = last;
    }
    return idle;
}

static void drop(mn__bank *b, entry *e)
{
    pthread_mutex_lock(&b->lock);
    entry **at = &b->first;
    while (*at != e) at = &(*at)->next;
    take_out(b, at);
    pthread_mutex_unlock(&b->lock);
    free_entry(b, e);
}

static void put_away(mn__bank *b, entry *e)
{
    mn_diag nobody_asks;
    char path[PATH];
    for (entry *next; e; e = next) {
        next = e->next_idle;
        if (b->p.folder && !e->has_file)
            e->has_file = mn_session_save(e->session, path_of(b, e, path), &nobody_asks) == MN_OK;
        if (!e->has_file) {
            drop(b, e);
            continue;
        }
        mn_session *session = e->session;
        pthread_mutex_lock(&b->lock);
        b->info.bytes -= e->bytes;
        e->session = NULL;
        e->in_use = false;
        pthread_mutex_unlock(&b->lock);
        mn_session_free(session);
    }
}

/* From its file into memory again; false: it is gone. */
static bool is_loaded(mn__bank *b, entry *e)
{
    mn_diag nobody_asks;
    char path[PATH];
    mn_session *session = NULL;
    if (e->session) return true;
    if (mn_session_load(&session, b->p.model, &b->p.session, path_of(b, e, path), &nobody_asks) !=
        MN_OK) {
        drop(b, e);
        return false;
    }
    pthread_mutex_lock(&b->lock);
    e->session = session;
    b->info.bytes += e->bytes;
    b->info.n_loaded++;
    entry *idle = over_limit(b);
    pthread_mutex_unlock(&b->lock);
    put_away(b, idle);
    return true;
}

/* ---- reading ---- */

typedef struct polled {
    bool (*stop)(void *ctx);
    void *ctx;
} polled;

static bool poll_stop(size_t done, size_t total, void *ctx)
{
    const polled *p = ctx;
    (void)done;
    (void)total;
    return p->stop && p->stop(p->ctx);
}

static mn_status read_entry(const mn__bank *b, entry *e, polled *poll, mn_diag *diag)
{
    mn_status st;
    mn_session_info info;
    const float *logits;
    const size_t V = b->p.model->n_vocab;
    MN_TRY(mn_session_new(&e->session, b->p.model, &b->p.session, diag));
    st = mn_session_read(e->session, e->token, e->n, true, &logits, poll_stop, poll, diag);
    if (st == MN_ECANCEL) return mn__fail(diag, st, "interrupted");
    MN_TRY(st);
    memcpy(e->logits, logits, V * sizeof *logits);
    mn_session_get_info(e->session, &info);
    e->bytes = info.kv_bytes + info.kv_window_bytes + info.policy_bytes + V * sizeof *logits;
done:
    return st;
}

static mn_status make_entry(const mn__bank *b, entry **out, const int32_t *token, size_t n,
                            polled *poll, mn_diag *diag)
{
    mn_status st;
    entry *e = mn__alloc_zero(MN_MEM_OTHER, sizeof *e);
    *out = NULL;
    if (!e) return mn__fail(diag, MN_ENOMEM, "no memory for a reading");
    e->n = n;
    e->in_use = true;
    e->token = mn__alloc_array(MN_MEM_OTHER, n, sizeof *token);
    e->logits = mn__alloc_array(MN_MEM_OTHER, b->p.model->n_vocab, sizeof *e->logits);
    if (!e->token || !e->logits) MN_TRY(mn__fail(diag, MN_ENOMEM, "no memory for a reading"));
    memcpy(e->token, token, n * sizeof *token);
    MN_TRY(read_entry(b, e, poll, diag));
    *out = e;
    e = NULL;
done:
    free_entry(b, e);
    return st;
}

mn_status mn__bank_take(mn__bank *b, const int32_t *token, size_t n, bool (*stop)(void *ctx),
                        void *ctx, mn__based *out, mn_diag *diag)
{
    polled poll = {.stop = stop, .ctx = ctx};
    const uint64_t hash = mn__hash64(token, n * sizeof *token, 0);
    entry *e = find(b, hash, token, n);
    if (!e || !is_loaded(b, e)) {
        mn_status st = make_entry(b, &e, token, n, &poll, diag);
        if (st != MN_OK) return st;
        e->hash = hash;
        pthread_mutex_lock(&b->lock);
        e->id = b->n_made++;
        put_in_front(b, e);
        b->info.n_read++;
        entry *idle = over_limit(b);
        pthread_mutex_unlock(&b->lock);
        put_away(b, idle);
    }
    *out = (mn__based){.session = e->session, .logits = e->logits};
    return MN_OK;
}

void mn__bank_give(mn__bank *b, const mn_session *session)
{
    pthread_mutex_lock(&b->lock);
    for (entry *e = b->first; e; e = e->next)
        if (e->session == session) e->in_use = false;
    entry *idle = over_limit(b);
    pthread_mutex_unlock(&b->lock);
    put_away(b, idle);
}

mn__bank_info mn__bank_get_info(mn__bank *b)
{
    pthread_mutex_lock(&b->lock);
    mn__bank_info info = b->info;
    pthread_mutex_unlock(&b->lock);
    return info;
}
