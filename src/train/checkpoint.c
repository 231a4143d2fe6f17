/* checkpoint.c: flat arrays as tensors, the config as texts. The checksum runs over the texts, the
 * numbers and the tensors, in this order, each hash being the seed of the next. */
#include "train/checkpoint.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"
#include "gguf/gguf_key.h"
#include "gguf/gguf_write.h"
#include "train/join.h"

#define ARCHITECTURE "mneme-training"
enum { FORMAT = 1, LINE_MAX_BYTES = MN__CONFIG_TEXT + 64 };

/* ---- what is written ---- */

typedef struct array {
    const char *name;
    mn__real *data;
    size_t n; /* 0: not written */
} array;
enum { N_ARRAY = 4, N_FLAT = 3 }; /* flat: with a place for each parameter */

static void arrays_of(const mn__learner *l, const mn__adamw *o, array out[N_ARRAY])
{
    const size_t n = mn__params_whole(&l->list);
    const array all[N_ARRAY] = {
        {"weights", l->w, n},
        {"moments.first", o->m, n},
        {"moments.second", o->v, n},
        {"state", l->state, l->n_state},
    };
    memcpy(out, all, sizeof all);
}

/* Lines "section.key=value" of all options: *out [*n], to be freed by free_lines. */
static mn_status config_lines(const mn__config *c, char ***out, size_t *n)
{
    const size_t count = mn__config_count();
    char **lines = *out = mn__alloc_zero(MN_MEM_OTHER, count * sizeof *lines);
    *n = 0;
    if (!lines) return MN_ENOMEM;
    for (size_t i = 0; i < count; i++) {
        const mn__config_field *f = mn__config_at(i);
        char value[MN__CONFIG_TEXT], line[LINE_MAX_BYTES];
        if (f->kind == MN__CONFIG_IS_SECTION) continue;
        mn__config_value(c, f, value, sizeof value);
        snprintf(line, sizeof line, "%s=%s", f->name, value);
        lines[*n] = mn__strdup(line);
        if (!lines[(*n)++]) return MN_ENOMEM;
    }
    return MN_OK;
}

static void free_lines(char **lines, size_t n)
{
    for (size_t i = 0; lines && i < n; i++) mn__free(lines[i]);
    mn__free(lines);
}

static uint64_t hash_text(const char *text, uint64_t hash)
{
    return mn__hash64(text, strlen(text) + 1, hash);
}

static uint64_t hash_numbers(uint64_t step, uint64_t source, uint64_t hash)
{
    const uint64_t numbers[2] = {step, source};
    return mn__hash64(numbers, sizeof numbers, hash);
}

static uint64_t checksum(char *const *lines, size_t n, uint64_t step, uint64_t source,
                         const array arrays[N_ARRAY])
{
    uint64_t hash = 0;
    for (size_t i = 0; i < n; i++) hash = hash_text(lines[i], hash);
    hash = hash_numbers(step, source, hash);
    for (size_t i = 0; i < N_ARRAY; i++)
        if (arrays[i].n)
            hash = mn__hash64(arrays[i].data, arrays[i].n * sizeof *arrays[i].data, hash);
    return hash;
}

/* Names of parameters in the order in which they lie in the arrays, for readers of the file. */
static mn_status put_names(mn__gguf_writer *w, const mn__params *list)
{
    const char **names = mn__alloc_array(MN_MEM_OTHER, list->n, sizeof *names);
    if (!names) return MN_ENOMEM;
    for (size_t i = 0; i < list->n; i++) names[i] = list->at[i]->name;
    mn__gguf_set_strs(w, "training.parameters", names, list->n);
    mn__free(names);
    return MN_OK;
}

/* Flat arrays of which ranks hold parts, put together on rank 0: into *whole, to be freed. */
static mn_status join_arrays(const mn__learner *l, const mn__adamw *o, array arrays[N_ARRAY],
                             mn__real **whole, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__peers *peers = o->config.peers;
    const size_t n = mn__params_whole(&l->list);
    const bool is_first = peers && peers->ranks.rank == 0;
    if (!peers || n == l->n_w) return MN_OK;
    if (is_first) *whole = mn__alloc_zero(MN_MEM_OTHER, N_FLAT * n * sizeof **whole);
    if (is_first && !*whole)
        return mn__fail(diag, MN_ENOMEM, "no memory to bring a checkpoint together");
    for (size_t i = 0; i < N_FLAT && st == MN_OK; i++) {
        mn__real *to = is_first ? *whole + i * n : NULL;
        st = mn__join_whole(&l->list, peers, arrays[i].data, to, diag);
        arrays[i].data = to;
    }
    return st;
}

mn_status mn__checkpoint_save(const char *path, const mn__learner *l, mn__adamw *o, mn__team *team,
                              uint64_t source, bool is_over_bad, mn_diag *diag)
{
    mn_status st;
    mn__gguf_writer *w = NULL;
    char **lines = NULL;
    size_t n = 0;
    array arrays[N_ARRAY];
    mn__real *whole = NULL;
    mn__adamw_flush(o, team);
    arrays_of(l, o, arrays);
    MN_TRY(join_arrays(l, o, arrays, &whole, diag));
    if (o->config.peers && o->config.peers->ranks.rank) goto done; /* rank 0 writes */
    MN_TRY(mn__gguf_writer_new(&w, diag));
    if (config_lines(&l->config, &lines, &n) != MN_OK || put_names(w, &l->list) != MN_OK)
        MN_TRY(mn__fail(diag, MN_ENOMEM, "%s: no memory to write it", path));
    mn__gguf_set_str(w, "general.architecture", ARCHITECTURE);
    mn__gguf_set_u32(w, "training.format", FORMAT);
    mn__gguf_set_u64(w, "training.step", o->step);
    mn__gguf_set_u64(w, "training.source", source);
    mn__gguf_set_strs(w, "training.config", (const char *const *)lines, n);
    mn__gguf_set_u64(w, "training.checksum", checksum(lines, n, o->step, source, arrays));
    for (size_t i = 0; i < N_ARRAY; i++)
        if (arrays[i].n)
            mn__gguf_add_tensor(w, arrays[i].name, GGML_TYPE_F32,
                                (const int64_t[4]){(int64_t)arrays[i].n, 1, 1, 1},
                                &(mn__gguf_source){.bytes = arrays[i].data});
    if (!is_over_bad) MN_TRY(mn__keep_previous(path, diag));
    MN_TRY(mn__gguf_write(w, path, diag));
done:
    mn__free(whole);
    free_lines(lines, n);
    mn__gguf_writer_free(w);
    return st;
}

/* ---- what is read ---- */

typedef struct file {
    mn__gguf *g;
    mn__gguf_array lines;
    uint64_t step, source;
    const mn__gguf_tensor *tensor[N_ARRAY]; /* NULL: none */
} file;

static mn_status check_head(const mn__gguf *g, mn_diag *diag)
{
    mn_status st;
    const char *what;
    uint32_t format;
    MN_TRY(mn__gguf_need_str(g, "general.architecture", &what, diag));
    if (strcmp(what, ARCHITECTURE) != 0)
        MN_TRY(mn__fail(diag, MN_EINPUT,
                        "%s: not a checkpoint of a training: architecture %s wanted, %.60s found",
                        mn__gguf_name(g), ARCHITECTURE, what));
    MN_TRY(mn__gguf_need_u32(g, "training.format", &format, diag));
    if (format != FORMAT)
        MN_TRY(mn__fail(diag, MN_EINPUT, "%s: checkpoint of format %d wanted, %u found",
                        mn__gguf_name(g), FORMAT, format));
done:
    return st;
}

static mn_status check_sum(const file *f, mn_diag *diag)
{
    uint64_t wanted, hash = 0;
    const mn_status st = mn__gguf_need_u64(f->g, "training.checksum", &wanted, diag);
    if (st != MN_OK) return st;
    for (size_t i = 0; i < f->lines.n; i++)
        hash = hash_text(mn__gguf_array_str(f->g, &f->lines, i), hash);
    hash = hash_numbers(f->step, f->source, hash);
    for (size_t i = 0; i < N_ARRAY; i++)
        if (f->tensor[i]) hash = mn__hash64(f->tensor[i]->data, f->tensor[i]->n_bytes, hash);
    if (hash != wanted)
        return mn__fail(diag, MN_EINPUT, "%s: damaged: checksum %016llx wanted, %016llx found",
                        mn__gguf_name(f->g), (unsigned long long)wanted, (unsigned long long)hash);
    return MN_OK;
}

/* Open and check all that can be checked without a config. */
static mn_status open_file(file *f, const char *path, mn_diag *diag)
{
    mn_status st;
    array names[N_ARRAY];
    *f = (file){0};
    arrays_of(&(mn__learner){0}, &(mn__adamw){0}, names);
    MN_TRY(mn__gguf_open(&f->g, path, diag));
    MN_TRY(check_head(f->g, diag));
    MN_TRY(mn__gguf_need_array(f->g, "training.config", GGUF_TYPE_STRING, &f->lines, diag));
    MN_TRY(mn__gguf_need_u64(f->g, "training.step", &f->step, diag));
    MN_TRY(mn__gguf_need_u64(f->g, "training.source", &f->source, diag));
    for (size_t i = 0; i < N_ARRAY; i++) f->tensor[i] = mn__gguf_find_tensor(f->g, names[i].name);
    MN_TRY(check_sum(f, diag));
    return MN_OK;
done:
    mn__gguf_close(f->g);
    f->g = NULL;
    return st;
}

/* The file's value of an option, or NULL. */
static const char *value_in(const file *f, const char *name)
{
    const size_t n = strlen(name);
    for (size_t i = 0; i < f->lines.n; i++) {
        const char *line = mn__gguf_array_str(f->g, &f->lines, i);
        if (strncmp(line, name, n) == 0 && line[n] == '=') return line + n + 1;
    }
    return NULL;
}

static mn_status same_config(const file *f, const mn__config *c, mn_diag *diag)
{
    for (size_t i = 0; i < mn__config_count(); i++) {
        const mn__config_field *field = mn__config_at(i);
        char wanted[MN__CONFIG_TEXT], found[MN__CONFIG_TEXT];
        if (field->kind == MN__CONFIG_IS_SECTION || field->use == MN__CONFIG_FREE) continue;
        const char *value = value_in(f, field->name);
        mn__config_value(c, field, wanted, sizeof wanted);
        if (value && strcmp(value, wanted) == 0) continue;
        snprintf(found, sizeof found, "%s", value ? value : "nothing");
        mn__make_printable(found, ' ');
        return mn__fail(diag, MN_EUSAGE,
                        "%s: a training with another config: %s = %s wanted, %s found",
                        mn__gguf_name(f->g), field->name, wanted, found);
    }
    return MN_OK;
}

/* The arrays have the sizes that the config gives them. */
static mn_status same_sizes(const file *f, const mn__learner *l, const array arrays[N_ARRAY],
                            mn_diag *diag)
{
    for (size_t i = 0; i < N_ARRAY; i++) {
        const mn__gguf_tensor *t = f->tensor[i];
        const size_t n = t ? t->n_bytes / sizeof(float) : 0;
        if (n != arrays[i].n || (t && t->type != GGML_TYPE_F32))
            return mn__fail(diag, MN_EINPUT, "%s: tensor %s of %zu float32 wanted, %zu found",
                            mn__gguf_name(f->g), arrays[i].name, arrays[i].n, n);
    }
    if (f->step > l->config.train_steps)
        return mn__fail(diag, MN_EINPUT, "%s: a step up to %zu wanted, %llu found",
                        mn__gguf_name(f->g), l->config.train_steps, (unsigned long long)f->step);
    return MN_OK;
}

static mn_status take_file(const file *f, mn__learner *l, mn__adamw *o, uint64_t source,
                           mn_diag *diag)
{
    mn_status st;
    array arrays[N_ARRAY];
    arrays_of(l, o, arrays);
    MN_TRY(same_config(f, &l->config, diag));
    if (f->source != source)
        MN_TRY(mn__fail(
            diag, MN_EUSAGE, "%s: a training on other data: identity %016llx wanted, %016llx found",
            mn__gguf_name(f->g), (unsigned long long)source, (unsigned long long)f->source));
    MN_TRY(same_sizes(f, l, arrays, diag));
    MN_TRY(mn__adamw_resume(o, (size_t)f->step, diag));
    for (size_t i = 0; i < N_FLAT; i++)
        mn__join_part(&l->list, (const mn__real *)f->tensor[i]->data, arrays[i].data);
    for (size_t i = N_FLAT; i < N_ARRAY; i++)
        if (arrays[i].n) memcpy(arrays[i].data, f->tensor[i]->data, f->tensor[i]->n_bytes);
done:
    return st;
}

/* ---- the file, or the one before ---- */

static bool name_before(const char *path, char out[PATH_MAX])
{
    return snprintf(out, PATH_MAX, "%s.1", path) < PATH_MAX;
}

bool mn__checkpoint_exists(const char *path)
{
    char before[PATH_MAX];
    return !access(path, F_OK) || (name_before(path, before) && !access(before, F_OK));
}

static mn_status open_either(file *f, const char *path, bool *is_bad, mn_diag *warning,
                             mn_diag *diag)
{
    mn_diag why = {{0}}, other = {{0}};
    char before[PATH_MAX];
    *is_bad = false;
    const mn_status st = open_file(f, path, &why);
    if (st == MN_OK) return MN_OK;
    if ((st != MN_EINPUT && st != MN_EIO) || !name_before(path, before) || access(before, F_OK))
        return mn__fail(diag, st, "%s", why.text);
    if (open_file(f, before, &other) != MN_OK)
        return mn__fail(diag, st, "%.400s; the one before is no better: %.400s", why.text,
                        other.text);
    *is_bad = true;
    mn__fail(warning, MN_OK, "%.600s; the checkpoint before it, of step %llu, is used: %s",
             why.text, (unsigned long long)f->step, before);
    return MN_OK;
}

mn_status mn__checkpoint_load(const char *path, mn__learner *l, mn__adamw *o, uint64_t source,
                              bool *is_bad, mn_diag *warning, mn_diag *diag)
{
    file f;
    mn_status st = open_either(&f, path, is_bad, warning, diag);
    if (st != MN_OK) return st;
    st = take_file(&f, l, o, source, diag);
    mn__gguf_close(f.g);
    return st;
}

/* Of an open file. */
static mn_status read_config(const file *f, mn__config *out, mn_diag *diag)
{
    mn_status st = MN_OK;
    mn__config c;
    mn__config_init(&c);
    for (size_t i = 0; i < f->lines.n && st == MN_OK; i++)
        st = mn__config_override(&c, mn__gguf_array_str(f->g, &f->lines, i), diag);
    if (st == MN_OK) st = mn__config_check(&c, diag);
    if (st == MN_OK)
        *out = c;
    else
        mn__diag_prefix(diag, "%s", mn__gguf_name(f->g));
    return st == MN_OK ? MN_OK : MN_EINPUT;
}

mn_status mn__checkpoint_config(const char *path, mn__config *out, mn_diag *diag)
{
    file f;
    bool is_bad;
    mn_status st = open_either(&f, path, &is_bad, NULL, diag);
    if (st != MN_OK) return st;
    st = read_config(&f, out, diag);
    mn__gguf_close(f.g);
    return st;
}

/* ---- the model alone ---- */

/* Parameters and states at their places in the file's arrays. */
static mn_status bind_file(const file *f, mn__learner *l, mn_diag *diag)
{
    array arrays[N_ARRAY];
    const mn__real *data[N_ARRAY] = {NULL};
    l->n_w = mn__params_size(&l->list, false);
    l->n_state = mn__params_size(&l->list, true);
    arrays_of(l, &(mn__adamw){0}, arrays);
    const mn_status st = same_sizes(f, l, arrays, diag);
    if (st != MN_OK) return st;
    for (size_t i = 0; i < N_ARRAY; i++) data[i] = f->tensor[i] ? f->tensor[i]->data : NULL;
    /* Read alone, as the caller has promised. */
    mn__params_bind(&l->list, (mn__real *)data[0], NULL, (mn__real *)data[N_ARRAY - 1]);
    return MN_OK;
}

mn_status mn__checkpoint_open(mn__checkpoint_model *out, const char *path, mn_diag *diag)
{
    file f = {0};
    bool is_bad;
    mn__config c;
    mn__checkpoint_model m = {0};
    mn_status st;
    *out = m;
    MN_TRY(open_either(&f, path, &is_bad, NULL, diag));
    m.file = f.g;
    m.step = f.step;
    MN_TRY(read_config(&f, &c, diag));
    MN_TRY(mn__learner_layers(&m.learner, &c, diag));
    MN_TRY(bind_file(&f, m.learner, diag));
    *out = m;
    return MN_OK;
done:
    mn__checkpoint_close(&m);
    return st;
}

void mn__checkpoint_close(mn__checkpoint_model *m)
{
    mn__learner_free(m->learner);
    mn__gguf_close(m->file);
    *m = (mn__checkpoint_model){0};
}
