/* namm_input.h: the rows of numbers that a NAMM's network reads, one per cached token, put together
 * from the groups that its file names (namm_inputs.def). What is needed of the model while it reads
 * and what is kept per slot follow from the groups alone. */
#ifndef MN_NAMM_INPUT_H
#define MN_NAMM_INPUT_H

#include "base/team.h"
#include "cache/policy_ops.h"
#include "policy/namm_spectrum.h"

/* Columns of a group, 0: there is none of this name. */
size_t mn__namm_group_dims(const mn__namm *namm, const char *group);
/* What mn__namm_input_new says of the groups: part of every check of a file (namm_file.c). */
mn_status mn__namm_inputs_check(const mn__namm *namm, mn_diag *diag);

/* Immutable. */
typedef struct mn__namm_input mn__namm_input;
/* namm is borrowed. half: spectra in bf16 (else f32). MN_EINPUT: an unknown group, one that stands
 * there twice, other columns than the network has, ages or a spectrum that are none, a stride with
 * running means. */
mn_status mn__namm_input_new(mn__namm_input **out, const mn__namm *namm, bool half, mn_diag *diag);
void mn__namm_input_free(mn__namm_input *in); /* NULL is fine */

/* needs, slot_bytes, n_query_ring of a scorer that has these inputs. */
void mn__namm_input_ask(const mn__namm_input *in, mn__scorer *s);
/* Tokens between the ends of frames, where events must fall: the hop of a spectrum, 1 without. */
size_t mn__namm_input_grain(const mn__namm_input *in);
bool mn__namm_input_compares(const mn__namm_input *in); /* means over lanes are asked for */
void mn__namm_input_observe(const mn__namm_input *in, const mn__seen *seen, uint8_t *state);

/* From here on `room` belongs to one lane: mn__namm_room_floats of n slots; scratch to one thread;
 * both 64-byte aligned. */
size_t mn__namm_room_floats(const mn__namm_input *in, size_t n);
size_t mn__namm_scratch_floats(const mn__namm_input *in, const mn__cache_shape *shape, size_t n);
/* First: what the lane itself was paid. */
void mn__namm_input_look(const mn__namm_input *in, const mn__score_view *v, float *room,
                         float *scratch);
/* Then, where lanes are compared, by the whole crew, all lanes looked at and met; view.scratch is a
 * lane's room. Lanes come layer by layer. No lane is ready before the crew has met again. */
void mn__namm_input_share(const mn__namm_input *in, const mn__crew *crew,
                          const mn__score_lane *lane, size_t n_lane);
/* Then rows x [n][E], standardised. Once per room: what stands there changes. */
void mn__namm_input_fill(const mn__namm_input *in, const mn__score_view *v, float *room, float *x,
                         float *scratch);

#endif
