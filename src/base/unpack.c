/* unpack.c: plain files, xz (liblzma) and zstd (libzstd) behind one read. Several archives in one
 * file, one behind the other, are one text, as both formats say. */
#include "base/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <lzma.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

#include "base/diag.h"
#include "base/heap.h"

enum { IN_BYTES = 1 << 16, XZ_MEMORY = 256 << 20, ZSTD_WINDOW_LOG = 27 };

enum packing { PLAIN, XZ, ZSTD };

struct mn__unpack {
    enum packing packing;
    int fd;
    char *path;
    uint64_t max_bytes, n_out, n_read;
    lzma_stream xz;
    ZSTD_DStream *zstd;
    size_t zstd_rest; /* 0: between two frames, where the file may end */
    bool in_ended, ended;
    const uint8_t *at; /* what of `in` was not looked at yet */
    size_t n_in;
    uint8_t in[IN_BYTES];
};

static mn_status open_regular(mn__unpack *u, const char *path, mn_diag *diag)
{
    struct stat info;
    do {
        u->fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe is refused, not awaited */
    } while (u->fd < 0 && errno == EINTR);
    if (u->fd < 0 || fstat(u->fd, &info) != 0)
        return mn__fail(diag, MN_EIO, "%s: cannot open: %s", path, strerror(errno));
    if (S_ISDIR(info.st_mode))
        return mn__fail(diag, MN_EINPUT, "%s: a file wanted, a directory found", path);
    if (!S_ISREG(info.st_mode)) return mn__fail(diag, MN_EINPUT, "%s: not a regular file", path);
    return MN_OK;
}

/* Read on when all that was read is used up. */
static mn_status refill(mn__unpack *u, mn_diag *diag)
{
    ssize_t n;
    if (u->n_in || u->in_ended) return MN_OK;
    do {
        n = read(u->fd, u->in, IN_BYTES);
    } while (n < 0 && errno == EINTR);
    if (n < 0) return mn__fail(diag, MN_EIO, "%s: cannot read: %s", u->path, strerror(errno));
    u->at = u->in;
    u->n_in = (size_t)n;
    u->n_read += u->n_in;
    u->in_ended = n == 0;
    return MN_OK;
}

static mn_status begin_xz(mn__unpack *u, mn_diag *diag)
{
    u->packing = XZ;
    if (lzma_stream_decoder(&u->xz, XZ_MEMORY, LZMA_CONCATENATED) != LZMA_OK)
        return mn__fail(diag, MN_ENOMEM, "%s: no memory to unpack it", u->path);
    return MN_OK;
}

static mn_status begin_zstd(mn__unpack *u, mn_diag *diag)
{
    u->packing = ZSTD;
    u->zstd = ZSTD_createDStream();
    if (!u->zstd ||
        ZSTD_isError(ZSTD_DCtx_setParameter(u->zstd, ZSTD_d_windowLogMax, ZSTD_WINDOW_LOG)))
        return mn__fail(diag, MN_ENOMEM, "%s: no memory to unpack it", u->path);
    return MN_OK;
}

mn_status mn__unpack_open(mn__unpack **out, const char *path, uint64_t max_bytes, mn_diag *diag)
{
    static const uint8_t xz[] = {0xfd, '7', 'z', 'X', 'Z', 0}, zstd[] = {0x28, 0xb5, 0x2f, 0xfd};
    mn_status st;
    *out = NULL;
    mn__unpack *u = mn__alloc_zero(MN_MEM_OTHER, sizeof *u);
    if (!u) return mn__fail(diag, MN_ENOMEM, "%s: no memory to read it", path);
    u->fd = -1;
    u->xz = (lzma_stream)LZMA_STREAM_INIT;
    u->max_bytes = max_bytes ? max_bytes : UINT64_MAX;
    MN_TRY(open_regular(u, path, diag));
    u->path = mn__strdup(path);
    if (!u->path) MN_TRY(mn__fail(diag, MN_ENOMEM, "%s: no memory to read it", path));
    MN_TRY(refill(u, diag));
    if (u->n_in >= sizeof xz && memcmp(u->at, xz, sizeof xz) == 0) MN_TRY(begin_xz(u, diag));
    if (u->n_in >= sizeof zstd && memcmp(u->at, zstd, sizeof zstd) == 0)
        MN_TRY(begin_zstd(u, diag));
    *out = u;
    u = NULL;
done:
    mn__unpack_close(u);
    return st;
}

static mn_status damaged(const mn__unpack *u, const char *how, mn_diag *diag)
{
    return mn__fail(diag, MN_EINPUT, "%s: %s after %llu unpacked bytes", u->path, how,
                    (unsigned long long)u->n_out);
}

static mn_status read_plain(mn__unpack *u, char *buf, size_t cap, size_t *n)
{
    *n = u->n_in < cap ? u->n_in : cap;
    memcpy(buf, u->at, *n);
    u->at += *n;
    u->n_in -= *n;
    u->ended = u->in_ended;
    return MN_OK;
}

static mn_status read_xz(mn__unpack *u, char *buf, size_t cap, size_t *n, mn_diag *diag)
{
    lzma_stream *xz = &u->xz;
    xz->next_in = u->at;
    xz->avail_in = u->n_in;
    xz->next_out = (uint8_t *)buf;
    xz->avail_out = cap;
    lzma_ret ret = lzma_code(xz, u->in_ended ? LZMA_FINISH : LZMA_RUN);
    u->at = xz->next_in;
    u->n_in = xz->avail_in;
    *n = cap - xz->avail_out;
    switch (ret) {
    case LZMA_OK: return MN_OK;
    case LZMA_STREAM_END: u->ended = true; return MN_OK;
    case LZMA_BUF_ERROR: return damaged(u, "the xz archive ends too early,", diag);
    case LZMA_MEMLIMIT_ERROR:
        return damaged(u, "the xz archive needs more than 256 MiB to be unpacked,", diag);
    case LZMA_MEM_ERROR: return mn__fail(diag, MN_ENOMEM, "%s: no memory to unpack it", u->path);
    default: return damaged(u, "the xz archive is damaged", diag);
    }
}

static mn_status read_zstd(mn__unpack *u, char *buf, size_t cap, size_t *n, mn_diag *diag)
{
    ZSTD_inBuffer in = {u->at, u->n_in, 0};
    ZSTD_outBuffer out = {buf, cap, 0};
    size_t ret = ZSTD_decompressStream(u->zstd, &out, &in);
    u->at += in.pos;
    u->n_in -= in.pos;
    *n = out.pos;
    if (ZSTD_isError(ret)) {
        char how[160];
        snprintf(how, sizeof how, "the zstd archive cannot be unpacked (%s)",
                 ZSTD_getErrorName(ret));
        return damaged(u, how, diag);
    }
    /* Asked without input between two frames, zstd wants the next one's head: not a truncation. */
    if (in.size || out.pos) u->zstd_rest = ret;
    if (u->in_ended && out.pos == 0) {
        if (u->zstd_rest) return damaged(u, "the zstd archive ends too early,", diag);
        u->ended = true;
    }
    return MN_OK;
}

mn_status mn__unpack_read(mn__unpack *u, char *buf, size_t cap, size_t *n, mn_diag *diag)
{
    mn_status st = MN_OK;
    *n = 0;
    while (st == MN_OK && *n == 0 && !u->ended) {
        st = refill(u, diag);
        if (st != MN_OK) break;
        if (u->packing == PLAIN) st = read_plain(u, buf, cap, n);
        if (u->packing == XZ) st = read_xz(u, buf, cap, n, diag);
        if (u->packing == ZSTD) st = read_zstd(u, buf, cap, n, diag);
    }
    if (st != MN_OK) return st;
    u->n_out += *n;
    if (u->n_out > u->max_bytes)
        return mn__fail(diag, MN_EINPUT, "%s: at most %llu bytes wanted, more found%s", u->path,
                        (unsigned long long)u->max_bytes,
                        u->packing == PLAIN ? "" : " when unpacked");
    return MN_OK;
}

uint64_t mn__unpack_n_read(const mn__unpack *u)
{
    return u->n_read;
}

void mn__unpack_close(mn__unpack *u)
{
    if (!u) return;
    lzma_end(&u->xz);
    ZSTD_freeDStream(u->zstd);
    if (u->fd >= 0) close(u->fd);
    mn__free(u->path);
    mn__free(u);
}
