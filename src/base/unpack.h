/* unpack.h: the bytes of a file that may be packed (.xz, .zst), as a stream. */
#ifndef MN_BASE_UNPACK_H
#define MN_BASE_UNPACK_H

#include <stddef.h>
#include <stdint.h>

#include "mneme/status.h"

typedef struct mn__unpack mn__unpack;

/* Open a regular file. How it is packed is told by its first bytes, not by its name. max_bytes: the
 * most that may come out (a few bytes of an archive can stand for terabytes); 0: no limit. Memory
 * for unpacking is limited too: 256 MiB for xz, windows of 128 MiB for zstd; xz and zstd allocate
 * it themselves, outside the ledger. MN_EIO, MN_EINPUT (a directory, no regular file), MN_ENOMEM,
 * with the path. */
mn_status mn__unpack_open(mn__unpack **out, const char *path, uint64_t max_bytes, mn_diag *diag);
/* Up to cap bytes (cap > 0) into buf; *n = 0 at the end. MN_EINPUT: the archive is damaged,
 * truncated, too large when unpacked or needs too much memory. MN_EIO. After a failure only closing
 * is left. */
mn_status mn__unpack_read(mn__unpack *u, char *buf, size_t cap, size_t *n, mn_diag *diag);
/* Bytes of the file itself that were read so far. */
uint64_t mn__unpack_n_read(const mn__unpack *u);
void mn__unpack_close(mn__unpack *u); /* NULL is fine */

#endif
