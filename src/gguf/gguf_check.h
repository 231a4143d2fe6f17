/* gguf_check.h: is this range of bytes a sound GGUF file? Asked before ggml's reader sees it,
 * because that reader logs, trusts some lengths, and accepts files whose tensors end beyond the
 * file. */
#ifndef MN_GGUF_CHECK_H
#define MN_GGUF_CHECK_H

#include <stddef.h>
#include <stdint.h>
#include "mneme/status.h"

/* Limits that no real file comes near, so that hostile ones cannot make a reader hold more than
 * some hundred MiB. */
#define MN__GGUF_MAX_META   ((size_t)128 << 20) /* bytes of header, keys and tensor list */
#define MN__GGUF_MAX_KEY    65536u              /* keys */
#define MN__GGUF_MAX_TENSOR 262144u             /* tensors */

/* MN_OK when every length, count, type, shape and offset lies inside `size` bytes and no name
 * appears twice; otherwise MN_EINPUT with a sentence (without the file's name). Never reads outside
 * [data, data + size). MN_ENOMEM. */
mn_status mn__gguf_check(const uint8_t *data, size_t size, mn_diag *diag);

#endif
