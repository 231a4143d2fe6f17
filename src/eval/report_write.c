/* report_write.c: the records of a folder, wherever its processes left them, become three files. */
#include "mneme/eval.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/page.h"
#include "eval/report.h"

static const char main_store[] = "results.sqlite";

void mn_report_params_default(mn_report_params *p)
{
    *p = (mn_report_params){.n_resample = 9999};
}

/* ---- the stores of a folder ---- */

struct shards {
    const char *dir;
    char **path;
    size_t n, cap;
    char *joined; /* a store that is made for this report alone; NULL: none was needed */
};

static mn_status no_memory(const char *dir, mn_diag *diag)
{
    return mn__fail(diag, MN_ENOMEM, "%s: no memory to report on it", dir);
}

static char *path_in(const char *dir, const char *name)
{
    size_t n = strlen(dir) + strlen(name) + 2;
    char *path = mn__alloc(MN_MEM_OTHER, n);
    if (path) snprintf(path, n, "%s/%s", dir, name);
    return path;
}

static const char *name_of(const char *path)
{
    return strrchr(path, '/') + 1;
}

static int by_name(const void *x, const void *y)
{
    const char *a = name_of(*(char *const *)x), *b = name_of(*(char *const *)y);
    int main_first = !strcmp(b, main_store) - !strcmp(a, main_store);
    return main_first ? main_first : strcmp(a, b);
}

static bool is_store(const char *name)
{
    const char *end = strrchr(name, '.');
    return end && !strcmp(end, ".sqlite") && name[0] != '.';
}

static mn_status add_shard(struct shards *s, const char *name, mn_diag *diag)
{
    if (MN__GROW(s->path, s->n, s->cap) != MN_OK) return no_memory(s->dir, diag);
    s->path[s->n] = path_in(s->dir, name);
    if (!s->path[s->n]) return no_memory(s->dir, diag);
    s->n++;
    return MN_OK;
}

static mn_status find_shards(struct shards *s, mn_diag *diag)
{
    mn_status st = MN_OK;
    DIR *folder = opendir(s->dir);
    if (!folder)
        return mn__fail(diag, errno == ENOENT || errno == ENOTDIR ? MN_EINPUT : MN_EIO, "%s: %s",
                        s->dir, strerror(errno));
    for (struct dirent *e = readdir(folder); e && st == MN_OK; e = readdir(folder))
        if (is_store(e->d_name)) st = add_shard(s, e->d_name, diag);
    closedir(folder);
    if (st != MN_OK) return st;
    if (s->n == 0)
        return mn__fail(diag, MN_EINPUT,
                        "%s: no records there (%s is what `mneme eval --out` writes)", s->dir,
                        main_store);
    qsort(s->path, s->n, sizeof *s->path, by_name);
    return MN_OK;
}

/* An empty file, beside the others where that may be: it gets as large as they are. */
static mn_status make_joined(struct shards *s, mn_diag *diag)
{
    const char *const place[] = {s->dir, P_tmpdir};
    for (size_t i = 0; i < sizeof place / sizeof *place; i++) {
        s->joined = path_in(place[i], ".mneme-report-XXXXXX");
        if (!s->joined) return no_memory(s->dir, diag);
        int file = mkstemp(s->joined);
        if (file >= 0) {
            close(file);
            return MN_OK;
        }
        mn__free(s->joined);
        s->joined = NULL;
    }
    return mn__fail(diag, MN_EIO, "a temporary file for %zu stores: %s", s->n, strerror(errno));
}

/* Several files become one that goes when the report is written: none of them is changed. */
static mn_status join(struct shards *s, mn__store **out, mn_report_info *info, mn_diag *diag)
{
    mn_status st;
    mn__store *joined = NULL;
    MN_TRY(make_joined(s, diag));
    MN_TRY(mn__store_open(&joined, s->joined, MN_STORE_WRITE, diag));
    for (size_t i = 0; i < s->n; i++) {
        mn__store_merged m;
        MN_TRY(mn__store_merge(joined, s->path[i], &m, diag));
        if (m.n_conflict > 0 && info->n_conflict == 0)
            snprintf(info->conflict, sizeof info->conflict, "%s", m.conflict);
        info->n_conflict += m.n_conflict;
    }
    *out = joined;
    joined = NULL;
done:
    mn__store_close(joined);
    return st;
}

static mn_status open_records(struct shards *s, mn__store **out, mn_report_info *info,
                              mn_diag *diag)
{
    mn_status st = find_shards(s, diag);
    if (st != MN_OK) return st;
    info->n_file = s->n;
    return s->n == 1 ? mn__store_open(out, s->path[0], MN_STORE_READ, diag)
                     : join(s, out, info, diag);
}

static void drop_shards(struct shards *s)
{
    static const char *const beside[] = {"", "-wal", "-shm", "-journal"};
    for (size_t i = 0; s->joined && i < sizeof beside / sizeof *beside; i++) {
        char path[4200];
        snprintf(path, sizeof path, "%s%s", s->joined, beside[i]);
        unlink(path);
    }
    mn__free(s->joined);
    for (size_t i = 0; i < s->n; i++) mn__free(s->path[i]);
    mn__free(s->path);
}

/* ---- the files of the report ---- */

/* One line an item of each list: what changes between two reports shows in their diff. */
static mn_status put_document(FILE *to, const mn__report_page *page, mn_diag *diag)
{
    const size_t flags =
        JSON_ENCODE_ANY | JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(MN__REPORT_DIGITS);
    const char *name;
    json_t *value, *item;
    size_t i;
    bool failed = false;
    fputc('{', to);
    json_object_foreach((json_t *)page->doc, name, value)
    {
        fprintf(to, "%s\n\"%s\": ", value == json_object_get(page->doc, "version") ? "" : ",",
                name);
        if (!json_is_array(value)) {
            failed = json_dumpf(value, to, flags) != 0 || failed;
            continue;
        }
        json_array_foreach(value, i, item)
        {
            fputs(i ? ",\n " : "[\n ", to);
            failed = json_dumpf(item, to, flags) != 0 || failed;
        }
        fputs(json_array_size(value) ? "]" : "[]", to);
    }
    fputs("\n}\n", to);
    return failed && !ferror(to) ? mn__fail(diag, MN_ENOMEM, "no memory to write a report") : MN_OK;
}

static mn_status put_table(FILE *to, const mn__report_page *page, mn_diag *diag)
{
    (void)diag;
    mn__report_csv(to, page->doc);
    return MN_OK;
}

static mn_status write_file(const char *dir, const char *name,
                            mn_status (*put)(FILE *, const mn__report_page *, mn_diag *),
                            const mn__report_page *page, mn_diag *diag)
{
    mn_status st;
    mn__atomic file = {0};
    char *path = path_in(dir, name);
    if (!path) return no_memory(dir, diag);
    MN_TRY(mn__atomic_open(&file, path, diag));
    MN_TRY(put(file.file, page, diag));
    MN_TRY(mn__atomic_commit(&file, diag)); /* also tells of writes that failed */
done:
    mn__atomic_abort(&file);
    mn__free(path);
    return st;
}

/* ---- the whole ---- */

struct report {
    struct shards shards;
    mn__store *store;
    mn__summary *summary;
    json_t *doc;
    mn_report_info info;
};

static mn_status write_files(const struct report *r, const mn_report_params *p, mn_diag *diag)
{
    mn_status st;
    const char *dir = r->shards.dir;
    mn__report_page page = {.summary = r->summary,
                            .doc = r->doc,
                            .store = r->store,
                            .chart_js = p->chart_js,
                            .d3_js = p->d3_js};
    MN_TRY(write_file(dir, "report.json", put_document, &page, diag));
    MN_TRY(write_file(dir, "report.csv", put_table, &page, diag));
    MN_TRY(write_file(dir, "report.html", mn__report_html, &page, diag));
done:
    return st;
}

static void tell(mn_report_info *info, const mn__summary *s)
{
    info->n_run = s->n_run;
    for (size_t i = 0; i < s->n_run; i++) {
        info->n_prompt += s->run[i].n_prompt;
        info->n_record += s->run[i].n_record;
        info->n_failed += s->run[i].n_failed;
    }
}

static mn_status sum_up(struct report *r, const mn_report_params *p, mn_diag *diag)
{
    mn__summary_params sp;
    mn__summary_params_default(&sp);
    sp.how.n_resample = p->n_resample;
    sp.n_thread = p->n_thread;
    mn_status st = mn__summary_make(&r->summary, r->store, &sp, diag);
    if (st != MN_OK) {
        mn__diag_prefix(diag, "%s", r->shards.dir);
        return st;
    }
    tell(&r->info, r->summary);
    r->doc = mn__report_json(r->summary);
    return r->doc ? MN_OK : no_memory(r->shards.dir, diag);
}

static void drop_report(struct report *r)
{
    json_decref(r->doc);
    mn__summary_free(r->summary);
    mn__store_close(r->store);
    drop_shards(&r->shards);
}

mn_status mn_report_write(const char *dir, const mn_report_params *params, mn_report_info *out,
                          mn_diag *diag)
{
    mn_status st;
    mn_report_params p;
    struct report r = {.shards = {.dir = dir}};
    mn_report_params_default(&p);
    if (params) p = *params;
    if (!p.chart_js) p.chart_js = MN_CHART_JS;
    if (!p.d3_js) p.d3_js = MN_D3_JS;
    MN_TRY(open_records(&r.shards, &r.store, &r.info, diag));
    MN_TRY(mn__page_find_library(p.chart_js, "libjs-chart.js", diag));
    MN_TRY(mn__page_find_library(p.d3_js, "libjs-d3", diag));
    MN_TRY(sum_up(&r, &p, diag));
    MN_TRY(write_files(&r, &p, diag));
    if (out) *out = r.info;
done:
    drop_report(&r);
    return st;
}

struct sink {
    void (*put)(const char *text, size_t n, void *ctx);
    void *ctx;
};

static int put_piece(const char *text, size_t n, void *sink)
{
    const struct sink *s = sink;
    s->put(text, n, s->ctx);
    return 0;
}

mn_status mn__report_put(const json_t *doc, void (*put)(const char *text, size_t n, void *ctx),
                         void *ctx, mn_diag *diag)
{
    struct sink sink = {put, ctx};
    const size_t flags = JSON_PRESERVE_ORDER | JSON_REAL_PRECISION(MN__REPORT_DIGITS);
    if (doc && !json_dump_callback(doc, put_piece, &sink, flags)) return MN_OK;
    return mn__fail(diag, MN_ENOMEM, "no memory to write a document");
}

mn_status mn_report_json(const char *dir, const mn_report_params *params, mn_report_info *out,
                         void (*put)(const char *text, size_t n, void *ctx), void *ctx,
                         mn_diag *diag)
{
    mn_status st;
    mn_report_params p;
    struct report r = {.shards = {.dir = dir}};
    mn_report_params_default(&p);
    if (params) p = *params;
    MN_TRY(open_records(&r.shards, &r.store, &r.info, diag));
    MN_TRY(sum_up(&r, &p, diag));
    MN_TRY(mn__report_put(r.doc, put, ctx, diag));
    if (out) *out = r.info;
done:
    drop_report(&r);
    return st;
}
