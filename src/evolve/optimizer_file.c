/* optimizer_file.c: checkpoints: one GGUF file with every number of a search (docs/formats.md).
 * What is drawn next follows from them, so it is not written. */
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"
#include "evolve/optimizer_internal.h"
#include "gguf/gguf_key.h"
#include "gguf/gguf_write.h"

#define ARCHITECTURE "mneme-optimizer"
enum { FORMAT = 1, POPULATION_MAX = 1 << 20 };

/* ---- single numbers: one table for writing, reading and comparing ---- */

typedef enum kind { SIZE, U64, F64, FLAG, CHOICE } kind;
typedef enum use { OPTION, LIMIT, STATE } use; /* an option must agree, a limit need not */
typedef struct field {
    const char *name;
    kind kind;
    use use;
    size_t at; /* in mn_optimizer */
} field;

#define OF(use, kind, name, member) {name, kind, use, offsetof(mn_optimizer, member)},
#define U(name)                     OF(STATE, U64, "state." #name, name)
#define F(name)                     OF(STATE, F64, "state." #name, name)
static const field fields[] = {
    OF(OPTION, SIZE, "n", p.n) OF(OPTION, SIZE, "population", p.population)
        OF(OPTION, F64, "elite_ratio", p.elite_ratio) OF(OPTION, F64, "sigma", p.sigma) OF(
            OPTION, F64, "spread", p.spread) OF(OPTION, CHOICE, "covariance",
                                                p.covariance) OF(OPTION, SIZE, "rank", p.rank)
            OF(OPTION, FLAG, "is_max", p.is_max) OF(OPTION, FLAG, "is_passive", p.is_passive) OF(
                OPTION, FLAG, "is_exact", p.is_exact) OF(OPTION, FLAG, "is_endless", p.is_endless)
                OF(OPTION, FLAG, "has_noise", p.has_noise) OF(OPTION, F64,
                                                              "effort_max", p.effort_max)
                    OF(OPTION, U64, "seed", p.seed) OF(OPTION, CHOICE, "restart", p.restart)
                        OF(OPTION, F64, "tol_fun", p.tol_fun) OF(OPTION, F64, "tol_x", p.tol_x)
                            OF(LIMIT, SIZE, "max_restarts", p.max_restarts)
                                OF(LIMIT, U64, "max_evaluations", p.max_evaluations)
                                    OF(LIMIT, F64, "target", p.target) MN__OPTIMIZER_STATE(U, F)
                                        OF(STATE, U64, "distribution.g", dist.g)
                                            OF(STATE, U64, "distribution.g_of", dist.g_of)
                                                OF(STATE, F64, "distribution.sigma", dist.sigma)};
#undef U
#undef F
#undef OF
enum { N_FIELD = sizeof fields / sizeof *fields, KEY_MAX = 64 };

/* A field as 64 bits, whatever it is. */
static uint64_t bits_of(const mn_optimizer *o, const field *f)
{
    const unsigned char *at = (const unsigned char *)o + f->at;
    uint64_t bits = 0;
    if (f->kind == SIZE) return *(const size_t *)(const void *)at;
    if (f->kind == FLAG) return *(const bool *)at;
    if (f->kind == CHOICE) return *(const unsigned *)(const void *)at; /* enums here are unsigned */
    memcpy(&bits, at, sizeof bits);
    return bits;
}

static void set_bits(mn_optimizer *o, const field *f, uint64_t bits)
{
    unsigned char *at = (unsigned char *)o + f->at;
    if (f->kind == SIZE)
        *(size_t *)(void *)at = (size_t)bits;
    else if (f->kind == FLAG)
        *(bool *)at = bits != 0;
    else if (f->kind == CHOICE)
        *(unsigned *)(void *)at = bits < UINT_MAX ? (unsigned)bits : UINT_MAX;
    else
        memcpy(at, &bits, sizeof bits);
}

static void key_of(const field *f, char key[KEY_MAX])
{
    snprintf(key, KEY_MAX, "optimizer.%s", f->name);
}

static void text_of(const mn_optimizer *o, const field *f, char out[KEY_MAX])
{
    uint64_t bits = bits_of(o, f);
    double x;
    memcpy(&x, &bits, sizeof x);
    if (f->kind == F64)
        snprintf(out, KEY_MAX, "%.9g", x);
    else if (f->kind == FLAG)
        snprintf(out, KEY_MAX, "%s", bits ? "yes" : "none");
    else if (f->at == offsetof(mn_optimizer, p.restart) && bits < MN_RESTART_COUNT)
        snprintf(out, KEY_MAX, "%s", mn_restart_name((mn_restart)bits));
    else if (f->at == offsetof(mn_optimizer, p.covariance))
        snprintf(out, KEY_MAX, "%s", mn_covariance_name((mn_covariance)bits));
    else
        snprintf(out, KEY_MAX, "%llu", (unsigned long long)bits);
}

/* ---- arrays ---- */

typedef struct array {
    const char *name;
    double *data;
    size_t n; /* 0: not written */
} array;
enum { N_ARRAY = 11 };

static void arrays_of(const mn_optimizer *o, array out[N_ARRAY])
{
    const mn__cma *c = &o->dist;
    size_t n = o->p.n, square = o->p.covariance == MN_COVARIANCE_FULL ? n * n : 0,
           diagonal = square || o->p.covariance == MN_COVARIANCE_SEPARABLE ? n : 0;
    const array all[N_ARRAY] = {
        {"start", (double *)(uintptr_t)o->p.mean, n},
        {"best_x", o->best_x, n},
        {"mean", c->mean, n},
        {"p_s", c->p_s, n},
        {"p_c", c->p_c, diagonal},
        {"scale", c->scale, diagonal},
        {"c", c->c, square ? square : diagonal},
        {"basis", c->basis, square},
        {"path", c->path, o->p.rank * n},
        {"history_best", o->history_best, (size_t)o->n_history},
        {"history_median", o->history_median, (size_t)o->n_history},
    };
    memcpy(out, all, sizeof all);
}

/* Over all fields, arrays and the note, in this order. */
static uint64_t checksum(const mn_optimizer *o, const array *arrays, const char *note)
{
    uint64_t hash = 0;
    for (size_t i = 0; i < N_FIELD; i++) {
        uint64_t bits = bits_of(o, &fields[i]);
        hash = mn__hash64(&bits, sizeof bits, hash);
    }
    for (size_t i = 0; i < N_ARRAY; i++)
        if (arrays[i].n)
            hash = mn__hash64(arrays[i].data, arrays[i].n * sizeof *arrays[i].data, hash);
    return mn__hash64(note, strlen(note), hash);
}

/* ---- out ---- */

static void put_fields(mn__gguf_writer *w, const mn_optimizer *o)
{
    for (size_t i = 0; i < N_FIELD; i++) {
        char key[KEY_MAX];
        double x;
        uint64_t bits = bits_of(o, &fields[i]);
        key_of(&fields[i], key);
        memcpy(&x, &bits, sizeof x);
        if (fields[i].kind == F64)
            mn__gguf_set_f64(w, key, x);
        else
            mn__gguf_set_u64(w, key, bits);
    }
}

mn_status mn_optimizer_save(mn_optimizer *o, const char *path, const char *note, mn_diag *diag)
{
    mn_status st;
    array arrays[N_ARRAY];
    mn__gguf_writer *w = NULL;
    char *copy = mn__strdup(note ? note : "");
    if (!copy) return mn__fail(diag, MN_ENOMEM, "%s: no memory to write it", path);
    mn__free(o->note);
    o->note = copy;
    arrays_of(o, arrays);
    MN_TRY(mn__gguf_writer_new(&w, diag));
    mn__gguf_set_str(w, "general.architecture", ARCHITECTURE);
    mn__gguf_set_u32(w, "optimizer.format", FORMAT);
    put_fields(w, o);
    mn__gguf_set_str(w, "optimizer.note", copy);
    mn__gguf_set_u64(w, "optimizer.checksum", checksum(o, arrays, copy));
    for (size_t i = 0; i < N_ARRAY; i++)
        if (arrays[i].n)
            mn__gguf_add_tensor(w, arrays[i].name, GGML_TYPE_F64,
                                (const int64_t[4]){(int64_t)arrays[i].n, 1, 1, 1},
                                &(mn__gguf_source){.bytes = arrays[i].data});
    if (!o->has_bad_file) MN_TRY(mn__keep_previous(path, diag));
    MN_TRY(mn__gguf_write(w, path, diag));
    o->has_bad_file = false;
done:
    mn__gguf_writer_free(w);
    return st;
}

/* ---- in ---- */

static mn_status get_fields(const mn__gguf *g, mn_optimizer *o, mn_diag *diag)
{
    mn_status st;
    for (size_t i = 0; i < N_FIELD; i++) {
        char key[KEY_MAX];
        double x;
        uint64_t bits;
        key_of(&fields[i], key);
        if (fields[i].kind == F64) {
            MN_TRY(mn__gguf_need_any_f64(g, key, &x, diag));
            memcpy(&bits, &x, sizeof bits);
        } else {
            MN_TRY(mn__gguf_need_u64(g, key, &bits, diag));
        }
        set_bits(o, &fields[i], bits);
    }
    return MN_OK;
done:
    return st;
}

static mn_status check_head(const mn__gguf *g, mn_diag *diag)
{
    mn_status st;
    const char *what;
    uint32_t format;
    MN_TRY(mn__gguf_need_str(g, "general.architecture", &what, diag));
    if (strcmp(what, ARCHITECTURE) != 0)
        MN_TRY(mn__fail(diag, MN_EINPUT, "%s: not a checkpoint: architecture %s wanted, %s found",
                        mn__gguf_name(g), ARCHITECTURE, what));
    MN_TRY(mn__gguf_need_u32(g, "optimizer.format", &format, diag));
    if (format != FORMAT)
        MN_TRY(mn__fail(diag, MN_EINPUT, "%s: checkpoint of format %d wanted, %u found",
                        mn__gguf_name(g), FORMAT, format));
done:
    return st;
}

/* Numbers that sizes follow from. */
static mn_status check_numbers(const mn__gguf *g, const mn_optimizer *o, mn_diag *diag)
{
    mn_optimizer_params p = o->p;
    p.mean = NULL;
    mn_status st = mn__optimizer_check(&p, diag);
    if (st == MN_OK &&
        (o->population < 2 || o->population > POPULATION_MAX || o->p.population < 2 ||
         o->n_history > MN__HISTORY_MAX || o->stop >= MN_END_COUNT ||
         o->last_stop >= MN_END_COUNT || !(o->sigma_begin > 0) ||
         (o->p.rank == 0) != (o->p.covariance != MN_COVARIANCE_LOW_RANK)))
        st = mn__fail(diag, MN_EINPUT, "its numbers do not fit together");
    if (st == MN_OK) return MN_OK;
    mn__diag_prefix(diag, "%s", mn__gguf_name(g));
    return MN_EINPUT;
}

/* Point the arrays into the map, so that they can be summed before anything is allocated. */
static mn_status find_arrays(const mn__gguf *g, const mn_optimizer *o, array out[N_ARRAY],
                             mn_diag *diag)
{
    arrays_of(o, out);
    for (size_t i = 0; i < N_ARRAY; i++) {
        if (!out[i].n) continue;
        const mn__gguf_tensor *t = mn__gguf_find_tensor(g, out[i].name);
        if (!t || t->type != GGML_TYPE_F64 || t->n_bytes != out[i].n * sizeof(double))
            return mn__fail(diag, MN_EINPUT, "%s: tensor %s of %zu float64 wanted, %s found",
                            mn__gguf_name(g), out[i].name, out[i].n, t ? "another" : "none");
        out[i].data = (double *)(uintptr_t)t->data;
    }
    return MN_OK;
}

/* A search as `head` and the file's arrays tell. */
static mn_status rebuild(mn_optimizer **out, const mn_optimizer *head, const array *from,
                         mn_diag *diag)
{
    mn_status st;
    array to[N_ARRAY];
    mn_optimizer_params p = head->p;
    p.mean = from[0].data;
    MN_TRY(mn__optimizer_alloc(out, &p, diag));
    mn_optimizer *o = *out;
    for (size_t i = 0; i < N_FIELD; i++)
        if (fields[i].use == STATE) set_bits(o, &fields[i], bits_of(head, &fields[i]));
    MN_TRY(mn__optimizer_begin(o, from[0].data, diag));
    o->dist.g = head->dist.g; /* begin has set these anew */
    o->dist.g_of = head->dist.g_of;
    o->dist.sigma = head->dist.sigma;
    arrays_of(o, to);
    for (size_t i = 0; i < N_ARRAY; i++)
        if (to[i].n) memcpy(to[i].data, from[i].data, to[i].n * sizeof *to[i].data);
    mn__optimizer_draw(o);
done:
    return st;
}

static mn_status read_file(mn_optimizer **out, const char *path, mn_diag *diag)
{
    mn_status st;
    mn__gguf *g = NULL;
    mn_optimizer head = {0};
    array arrays[N_ARRAY];
    const char *note;
    uint64_t wanted;
    MN_TRY(mn__gguf_open(&g, path, diag));
    MN_TRY(check_head(g, diag));
    MN_TRY(get_fields(g, &head, diag));
    MN_TRY(mn__gguf_need_str(g, "optimizer.note", &note, diag));
    MN_TRY(mn__gguf_need_u64(g, "optimizer.checksum", &wanted, diag));
    MN_TRY(check_numbers(g, &head, diag));
    MN_TRY(find_arrays(g, &head, arrays, diag));
    uint64_t found = checksum(&head, arrays, note);
    if (found != wanted)
        MN_TRY(mn__fail(diag, MN_EINPUT, "%s: damaged: checksum %016llx wanted, %016llx found",
                        path, (unsigned long long)wanted, (unsigned long long)found));
    MN_TRY(rebuild(out, &head, arrays, diag));
    mn__free((*out)->note);
    (*out)->note = mn__strdup(note);
    if (!(*out)->note) MN_TRY(mn__fail(diag, MN_ENOMEM, "%s: no memory to read it", path));
done:
    mn__gguf_close(g);
    if (st != MN_OK) {
        mn_optimizer_free(*out);
        *out = NULL;
    }
    return st;
}

/* What p asks for, resolved as for a new search, is what the file has. */
static mn_status compare(const mn_optimizer *o, const mn_optimizer *asked, const char *path,
                         mn__option_name_fn name, mn_diag *diag)
{
    for (size_t k = 0; k < 2 * N_FIELD; k++) { /* what may follow from others last */
        const size_t i = k % N_FIELD;
        char wanted[KEY_MAX], found[KEY_MAX], option[64];
        if (fields[i].use != OPTION || bits_of(o, &fields[i]) == bits_of(asked, &fields[i]) ||
            (k < N_FIELD) == (fields[i].at == offsetof(mn_optimizer, p.is_endless)))
            continue;
        text_of(asked, &fields[i], wanted);
        text_of(o, &fields[i], found);
        mn__option_name(name, fields[i].name, option);
        return mn__fail(diag, MN_EUSAGE,
                        "%s: it was made with other options: %s %s wanted, %s found", path, option,
                        wanted, found);
    }
    for (size_t i = 0; i < o->p.n; i++)
        if (memcmp(&o->p.mean[i], &asked->p.mean[i], sizeof *o->p.mean) != 0)
            return mn__fail(diag, MN_EUSAGE,
                            "%s: it was made with another start: mean[%zu] %.9g wanted, %.9g found",
                            path, i, asked->p.mean[i], o->p.mean[i]);
    return MN_OK;
}

static mn_status agree(mn_optimizer *o, const mn_optimizer_params *p, const char *path,
                       mn__option_name_fn name, mn_diag *diag)
{
    mn_status st;
    mn_optimizer *asked = NULL;
    MN_TRY(mn__optimizer_check(p, diag));
    MN_TRY(mn__optimizer_alloc(&asked, p, diag));
    MN_TRY(compare(o, asked, path, name, diag));
    for (size_t i = 0; i < N_FIELD; i++)
        if (fields[i].use == LIMIT) set_bits(o, &fields[i], bits_of(asked, &fields[i]));
    MN_TRY(mn__optimizer_limit(o, diag));
done:
    mn_optimizer_free(asked);
    return st;
}

void mn__option_name(mn__option_name_fn fn, const char *key, char out[64])
{
    snprintf(out, 64, "%s", key);
    if (fn) fn(key, out);
}

mn_status mn_optimizer_load(mn_optimizer **out, const char *path, const mn_optimizer_params *p,
                            mn_diag *warning, mn_diag *diag)
{
    return mn__optimizer_load(out, path, p, NULL, warning, diag);
}

mn_status mn__optimizer_load(mn_optimizer **out, const char *path, const mn_optimizer_params *p,
                             mn__option_name_fn option_name, mn_diag *warning, mn_diag *diag)
{
    mn_diag why = {{0}}, other = {{0}};
    char name[PATH_MAX];
    bool has_name = snprintf(name, sizeof name, "%s.1", path) < (int)sizeof name;
    *out = NULL;
    mn_status st = read_file(out, path, &why);
    if ((st == MN_EINPUT || st == MN_EIO) && has_name && !access(name, F_OK)) {
        mn_status second = read_file(out, name, &other);
        if (second != MN_OK)
            return mn__fail(diag, st, "%.400s; the one before is no better: %.400s", why.text,
                            other.text);
        (*out)->has_bad_file = true;
        mn__fail(warning, MN_OK, "%.600s; the checkpoint before it is used: %s", why.text, name);
        st = MN_OK;
    }
    if (st != MN_OK) return mn__fail(diag, st, "%s", why.text);
    if (p) st = agree(*out, p, path, option_name, diag);
    if (st != MN_OK) {
        mn_optimizer_free(*out);
        *out = NULL;
    }
    return st;
}
