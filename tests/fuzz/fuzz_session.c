/* fuzz_session.c: any bytes at all as a session file: as they are, and again with model, size and
 * checksum made to fit, which is where lies inside are met. A file is refused with a sentence and
 * nothing stays behind, or the session goes on. */
#include "unit/session_fixture.h"

#include <sys/mman.h>
#include <unistd.h>

#include "base/file.h"
#include "infer/state_file.h"
#include "mneme/inspect.h"
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Survives NDEBUG: a finding must stop the fuzzer. */
static void check(int holds)
{
    if (!holds) abort();
}

/* One layer that slides beside one that does not would be a large model: two plain layers, heads of
 * the smallest size, so that inputs stay small. make_corpus.py writes for this shape. */
static mn_model *open_model(void)
{
    mn_model *m = NULL;
    tiny_model_params tp;
    const char *path = tiny_model_path("fuzz.gguf");
    tiny_model_default(&tp, "llama");
    tp.n_head = tp.n_kv_head = 1;
    tp.head_dim = 8;
    check(tiny_model_write(path, &tp) && mn_model_open(&m, path, NULL, NULL) == MN_OK);
    remove(path);
    return m;
}

static void ignore(const char *section, const char *name, const char *value, void *ctx)
{
    check(*section && *name && !ctx);
    for (; *value; value++) check((unsigned char)*value >= 0x20); /* a terminal may show it */
}

static void hold_file(const mn_model *m, const char *path)
{
    mn_session *s = NULL;
    mn_diag diag = {""};
    const float *logits;
    mn_session_params p = fix_params("h2o", "8");
    p.kv_type = MN_KV_Q8;
    p.positions = MN_POSITIONS_COMPACT;
    size_t before = fix_total();
    mn_status st = mn_session_load(&s, m, &p, path, &diag);
    check(!s == (st != MN_OK) && (s || strlen(diag.text) > strlen(path)));
    if (s && mn_session_step(s, 5, &logits, &diag) == MN_OK)
        check(mn_session_step(s, 6, &logits, &diag) == MN_OK || diag.text[0]);
    mn_session_free(s);
    diag.text[0] = '\0';
    if (mn_file_describe(path, ignore, NULL, &diag) != MN_OK)
        check(strlen(diag.text) > strlen(path));
    check(fix_total() == before);
}

static void set_content(int fd, const uint8_t *data, size_t size)
{
    check(ftruncate(fd, 0) == 0 && pwrite(fd, data, size, 0) == (ssize_t)size);
}

static void seal(const mn_model *m, uint8_t *data, size_t size)
{
    mn__state_head head;
    uint64_t hash = 0;
    memcpy(&head, data, sizeof head);
    memcpy(head.magic, MN__STATE_MAGIC, sizeof head.magic);
    head.version = MN__STATE_VERSION;
    head.head_bytes = sizeof head;
    head.file_bytes = size;
    head.model_hash = m->hash;
    memcpy(data, &head, sizeof head);
    for (size_t at = 0; at < size - 8; at += MN__STATE_BLOCK) {
        size_t rest = size - 8 - at;
        hash = mn__hash64(data + at, rest < MN__STATE_BLOCK ? rest : MN__STATE_BLOCK, hash);
    }
    memcpy(data + size - 8, &hash, sizeof hash);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static mn_model *m;
    static int fd;
    static char path[64];
    if (!m) {
        m = open_model();
        fd = memfd_create("session", MFD_CLOEXEC);
        check(fd >= 0);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    }
    set_content(fd, data, size);
    hold_file(m, path);
    if (size < sizeof(mn__state_head) + 8) return 0;
    uint8_t *copy = malloc(size);
    check(copy != NULL);
    memcpy(copy, data, size);
    seal(m, copy, size);
    set_content(fd, copy, size);
    hold_file(m, path);
    free(copy);
    return 0;
}
