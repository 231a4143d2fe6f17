/* tiles_amx.c: the tile configuration that all AMX kernels share. */
#include <immintrin.h>
#include "kern/x86/x86.h"

/* Static and const because GCC 12 believes that _tile_loadconfig reads 8 bytes and drops stores to
 * the other 56. */
static const struct {
    uint8_t palette, start_row, reserved[14];
    uint16_t colsb[16];
    uint8_t rows[16];
} tile_config __attribute__((aligned(64))) = {
    .palette = 1,
    .colsb = {64, 64, 64, 64, 64, 64, 64, 64},
    .rows = {16, 16, 16, 16, 16, 16, 16, 16},
};

/* What the thread had before: another library on a thread of the caller's (ggml) configures its
 * tiles once and expects to find them. By assembly with the whole block as operand, for the reason
 * above. */
typedef struct tile_state {
    uint8_t bytes[64];
} tile_state;
static _Thread_local tile_state found __attribute__((aligned(64)));

void mn__tiles_load_amx(void)
{
    __asm__ volatile("sttilecfg %0" : "=m"(found));
    _tile_loadconfig(&tile_config);
}

void mn__tiles_release_amx(void)
{
    __asm__ volatile("ldtilecfg %0" : : "m"(found)); /* all zero: released */
}
