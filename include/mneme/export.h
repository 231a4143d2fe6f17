/** @file export.h  From a training's checkpoint to a GGUF file that mn_model_open takes. */
#ifndef MNEME_EXPORT_H
#define MNEME_EXPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "mneme/status.h"

#ifdef __cplusplus
extern "C" {
#endif

/** How matrices that rows are multiplied with are stored. */
typedef enum mn_export_type {
    MN_EXPORT_F32,  /**< as they were trained */
    MN_EXPORT_BF16, /**< rounded to bf16 */
    MN_EXPORT_Q8    /**< Q8_0; bf16 where a row is no multiple of 32 values */
} mn_export_type;

/** How rows of tables are stored: values of memories, tables of look-ups. */
typedef enum mn_export_tables {
    MN_EXPORT_TABLES_AUTO, /**< f32 beside matrices of f32, else bf16 */
    MN_EXPORT_TABLES_F32,
    MN_EXPORT_TABLES_BF16,
    MN_EXPORT_TABLES_INT8 /**< 8 bits and a scale for each row */
} mn_export_tables;

/** Norms, biases, keys of memories and other small parameters stay f32. Zeros are the defaults. */
typedef struct mn_export_params {
    mn_export_type type;
    mn_export_tables tables;
    const char *tokenizer; /**< GGUF file with it; NULL: tokenizer.gguf beside the checkpoint, or
                              the one that it names */
    const char *name;      /**< of the model; NULL: its architecture and width */
    bool plan_only;        /**< count, write nothing */
} mn_export_params;

typedef struct mn_export_info {
    size_t n_params; /**< numbers that were trained */
    size_t matrix_bytes, table_bytes, other_bytes;
    uint64_t step, tokens; /**< of the training */
} mn_export_info;

/** Write the model in a checkpoint (a file, or a folder with checkpoint.gguf) to `out`, with its
 *  tokenizer. The file appears whole or not at all.
 *  @param info  what was, or would be, written; may be NULL
 *  @return MN_OK; MN_EINPUT (no checkpoint, a damaged one, a tokenizer of another size); MN_EUSAGE
 *  (no tokenizer is named), MN_EIO, MN_ENOMEM. */
MN_API mn_status mn_export(const char *checkpoint, const char *out, const mn_export_params *params,
                           mn_export_info *info, mn_diag *diag);

#ifdef __cplusplus
}
#endif
#endif
