/* state_file.c: writing and reading the frame of a session file. The checksum runs over blocks of
 * 64 KiB, the hash of each being the seed of the next. A file is read twice: once to see that it is
 * whole, once to use it; the second reading is hashed as well, should the file change meanwhile. */
#include "infer/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/diag.h"
#include "base/heap.h"

_Static_assert(sizeof(mn__state_head) == 184, "the head has no gaps");
_Static_assert(sizeof(mn_pin) == 16, "pins lie in the file as in memory");

enum { HASH_BYTES = sizeof(uint64_t), MIN_BYTES = sizeof(mn__state_head) + HASH_BYTES };

const char *mn__state_kv_name(uint32_t kv_type)
{
    switch (kv_type) {
    case MN_KV_BF16: return "bf16";
    case MN_KV_F32: return "f32";
    case MN_KV_Q8: return "q8";
    }
    return "unknown";
}

/* ---- out ---- */

static mn_status write_failed(mn__state_writer *w)
{
    int reason = errno;
    return mn__fail(w->diag, MN_EIO, "%s: cannot write: %s", w->path,
                    reason ? strerror(reason) : "a write came up short");
}

static mn_status flush_block(mn__state_writer *w)
{
    w->hash = mn__hash64(w->block, w->n, w->hash);
    w->n_written += w->n;
    errno = 0;
    if (fwrite(w->block, 1, w->n, w->out.file) != w->n) return write_failed(w);
    w->n = 0;
    return MN_OK;
}

mn_status mn__state_put(void *writer, const void *data, size_t n)
{
    mn__state_writer *w = writer;
    const uint8_t *from = data;
    while (n > 0) {
        size_t room = MN__STATE_BLOCK - w->n, m = n < room ? n : room;
        memcpy(w->block + w->n, from, m);
        w->n += m;
        from += m;
        n -= m;
        mn_status st = w->n == MN__STATE_BLOCK ? flush_block(w) : MN_OK;
        if (st != MN_OK) return st;
    }
    return MN_OK;
}

static mn_status put_head(mn__state_writer *w, mn__state_head *head, const mn__state_text *text,
                          uint64_t body_bytes)
{
    mn_status st;
    uint64_t pin_bytes = (uint64_t)head->n_pin * sizeof *text->pin;
    memcpy(head->magic, MN__STATE_MAGIC, sizeof head->magic);
    head->version = MN__STATE_VERSION;
    head->head_bytes = sizeof *head;
    head->name_bytes = (uint32_t)strlen(text->name);
    head->policy_bytes = (uint32_t)strlen(text->policy);
    head->budget_bytes = (uint32_t)strlen(text->budget);
    head->file_bytes = MIN_BYTES + (uint64_t)head->name_bytes + head->policy_bytes +
                       head->budget_bytes + pin_bytes + body_bytes;
    MN_TRY(mn__state_put(w, head, sizeof *head));
    MN_TRY(mn__state_put(w, text->name, head->name_bytes));
    MN_TRY(mn__state_put(w, text->policy, head->policy_bytes));
    MN_TRY(mn__state_put(w, text->budget, head->budget_bytes));
    MN_TRY(mn__state_put(w, text->pin, (size_t)pin_bytes));
done:
    return st;
}

mn_status mn__state_create(mn__state_writer *w, const char *path, mn__state_head *head,
                           const mn__state_text *text, uint64_t body_bytes, mn_diag *diag)
{
    *w = (mn__state_writer){.path = path, .diag = diag};
    mn_status st = mn__atomic_open(&w->out, path, diag);
    if (st != MN_OK) return st;
    w->block = mn__alloc(MN_MEM_OTHER, MN__STATE_BLOCK);
    st = w->block ? put_head(w, head, text, body_bytes)
                  : mn__fail(diag, MN_ENOMEM, "%s: no memory to write it", path);
    if (st != MN_OK) mn__state_abort(w);
    return st;
}

mn_status mn__state_commit(mn__state_writer *w)
{
    mn_status st;
    if (w->n) MN_TRY(flush_block(w)); /* an empty block would be one more to hash */
    errno = 0;
    if (fwrite(&w->hash, sizeof w->hash, 1, w->out.file) != 1) MN_TRY(write_failed(w));
    MN_TRY(mn__atomic_commit(&w->out, w->diag));
done:
    mn__state_abort(w);
    return st;
}

void mn__state_abort(mn__state_writer *w)
{
    mn__atomic_abort(&w->out);
    mn__free(w->block);
    w->block = NULL;
}

/* ---- in ---- */

bool mn__state_is_magic(const void *data, size_t n)
{
    return n >= 8 && memcmp(data, MN__STATE_MAGIC, 8) == 0;
}

static mn_status read_bytes(mn__state_reader *r, void *out, size_t n)
{
    uint8_t *to = out;
    while (n > 0) {
        ssize_t got = read(r->fd, to, n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0)
            return mn__fail(r->diag, MN_EIO, "%s: cannot read: %s", r->path, strerror(errno));
        if (got == 0) return mn__fail(r->diag, MN_EIO, "%s: it became shorter while read", r->path);
        to += got;
        n -= (size_t)got;
    }
    return MN_OK;
}

static mn_status next_block(mn__state_reader *r)
{
    size_t n = r->left < MN__STATE_BLOCK ? (size_t)r->left : MN__STATE_BLOCK;
    mn_status st = read_bytes(r, r->block, n);
    if (st != MN_OK) return st;
    r->hash = mn__hash64(r->block, n, r->hash);
    r->at = 0;
    r->n = n;
    return MN_OK;
}

/* data NULL: skipped. */
static mn_status take_bytes(mn__state_reader *r, uint8_t *data, uint64_t n)
{
    if (n > r->left)
        return mn__fail(r->diag, MN_EINPUT,
                        "%s: it ends in the middle: %llu more bytes wanted, %llu found", r->path,
                        (unsigned long long)n, (unsigned long long)r->left);
    while (n > 0) {
        mn_status st = r->at == r->n ? next_block(r) : MN_OK;
        if (st != MN_OK) return st;
        size_t there = r->n - r->at, m = n < there ? (size_t)n : there;
        if (data) {
            memcpy(data, r->block + r->at, m);
            data += m;
        }
        r->at += m;
        r->left -= m;
        n -= m;
    }
    return MN_OK;
}

mn_status mn__state_get(void *reader, void *data, size_t n)
{
    mn__state_reader *r = reader;
    mn_status st = n ? take_bytes(r, data, n) : MN_OK;
    if (st != MN_OK) r->has_failed = true;
    return st;
}

mn_status mn__state_skip(mn__state_reader *r, uint64_t n)
{
    return take_bytes(r, NULL, n);
}

uint64_t mn__state_left(void *reader)
{
    return ((mn__state_reader *)reader)->left;
}

/* Back to the first byte. */
static mn_status rewind_file(mn__state_reader *r)
{
    if (lseek(r->fd, 0, SEEK_SET) != 0)
        return mn__fail(r->diag, MN_EIO, "%s: cannot read: %s", r->path, strerror(errno));
    r->left = r->head.file_bytes - HASH_BYTES;
    r->at = r->n = 0;
    r->hash = 0;
    return MN_OK;
}

static mn_status open_file(mn__state_reader *r, uint64_t *size)
{
    struct stat info;
    do {
        r->fd = open(r->path,
                     O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* refuse a pipe, do not wait for it */
    } while (r->fd < 0 && errno == EINTR);
    if (r->fd < 0 || fstat(r->fd, &info) != 0)
        return mn__fail(r->diag, MN_EIO, "%s: cannot open: %s", r->path, strerror(errno));
    if (!S_ISREG(info.st_mode))
        return mn__fail(r->diag, MN_EINPUT, "%s: not a regular file", r->path);
    *size = (uint64_t)info.st_size;
    return MN_OK;
}

/* What must be right before the rest can be checked. */
static mn_status check_frame(mn__state_reader *r, uint64_t size)
{
    const mn__state_head *h = &r->head;
    if (size < MIN_BYTES) return mn__fail(r->diag, MN_EINPUT, "%s: not a session file", r->path);
    mn_status st = read_bytes(r, &r->head, sizeof r->head);
    if (st != MN_OK) return st;
    if (!mn__state_is_magic(h->magic, sizeof h->magic))
        return mn__fail(r->diag, MN_EINPUT, "%s: not a session file", r->path);
    if (h->version != MN__STATE_VERSION || h->head_bytes != sizeof *h)
        return mn__fail(r->diag, MN_EINPUT,
                        "%s: session file of version %d wanted, version %u found", r->path,
                        MN__STATE_VERSION, h->version);
    if (h->file_bytes != size)
        return mn__fail(r->diag, MN_EINPUT,
                        "%s: %llu bytes wanted, %llu found: it was cut short or added to", r->path,
                        (unsigned long long)h->file_bytes, (unsigned long long)size);
    return MN_OK;
}

static mn_status check_hash(mn__state_reader *r)
{
    mn_status st;
    MN_TRY(rewind_file(r));
    MN_TRY(mn__state_skip(r, r->left));
    MN_TRY(read_bytes(r, &r->wanted_hash, sizeof r->wanted_hash));
    if (r->hash != r->wanted_hash)
        st = mn__fail(r->diag, MN_EINPUT, "%s: damaged: checksum %016llx wanted, %016llx found",
                      r->path, (unsigned long long)r->wanted_hash, (unsigned long long)r->hash);
done:
    return st;
}

static mn_status read_text(mn__state_reader *r)
{
    mn_status st;
    const mn__state_head *h = &r->head;
    size_t n[3] = {h->name_bytes, h->policy_bytes, h->budget_bytes},
           pin_bytes = 16 * (size_t)h->n_pin;
    const char **text[3] = {&r->text.name, &r->text.policy, &r->text.budget};
    if (n[0] + n[1] + n[2] + pin_bytes > r->left)
        return mn__fail(r->diag, MN_EINPUT, "%s: its texts claim more bytes than it has", r->path);
    char *at = r->text_data = mn__alloc_zero(MN_MEM_OTHER, n[0] + n[1] + n[2] + 3);
    r->text.pin = r->pin = mn__alloc(MN_MEM_OTHER, pin_bytes);
    if (!at || !r->pin) return mn__fail(r->diag, MN_ENOMEM, "%s: no memory to read it", r->path);
    for (int i = 0; i < 3; at += n[i++] + 1) {
        MN_TRY(mn__state_get(r, at, n[i]));
        *text[i] = at;
    }
    MN_TRY(mn__state_get(r, r->pin, pin_bytes));
done:
    return st;
}

mn_status mn__state_open(mn__state_reader *r, const char *path, mn_diag *diag)
{
    mn_status st;
    uint64_t size = 0;
    *r = (mn__state_reader){.fd = -1, .path = path, .diag = diag};
    r->block = mn__alloc(MN_MEM_OTHER, MN__STATE_BLOCK);
    if (!r->block) MN_TRY(mn__fail(diag, MN_ENOMEM, "%s: no memory to read it", path));
    MN_TRY(open_file(r, &size));
    MN_TRY(check_frame(r, size));
    MN_TRY(check_hash(r));
    MN_TRY(rewind_file(r));
    MN_TRY(mn__state_get(r, &r->head, sizeof r->head));
    MN_TRY(read_text(r));
    return MN_OK;
done:
    mn__state_close(r);
    return st;
}

mn_status mn__state_end(mn__state_reader *r)
{
    if (r->left > 0)
        return mn__fail(r->diag, MN_EINPUT, "%s: %llu bytes more than its lanes need", r->path,
                        (unsigned long long)r->left);
    if (r->hash != r->wanted_hash)
        return mn__fail(r->diag, MN_EIO, "%s: it changed while it was read", r->path);
    return MN_OK;
}

void mn__state_close(mn__state_reader *r)
{
    if (r->fd >= 0 && r->block) close(r->fd);
    mn__free(r->block);
    mn__free(r->text_data);
    mn__free(r->pin);
    *r = (mn__state_reader){.fd = -1};
}
