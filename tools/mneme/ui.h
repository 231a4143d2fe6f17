/* ui.h: what all verbs share: opening the model, session options, progress, interruption, sentences
 * on standard error. */
#ifndef MNEME_UI_H
#define MNEME_UI_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include "args.h"
#include "mneme/mneme.h"

/* Ctrl-C: the first sets this flag, the second ends the process. */
void ui_catch_interrupt(void);
bool ui_interrupted(void);
/* Ends the process by SIGPIPE, as others end, where nobody reads standard output any more. */
void ui_follow_reader(void);

/* Sentences. Nothing is printed under --quiet. */
void ui_note(const args *a, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
const char *ui_color(const args *a, const char *code); /* "" when standard error wants none; codes:
                                                          "dim", "bold", "red", "" = reset */

/* Progress with time left on standard error: one line that is drawn anew on a terminal. What takes
 * hours is `logged`: elsewhere a line a minute. */
typedef struct progress {
    const args *a;    /* NULL: none is wanted */
    const char *what; /* "reading" */
    const char *unit; /* of progress_tick; NULL: tokens, whose speed is told */
    double t0, drawn; /* when it began, when it was drawn last */
    bool is_log, shown;
} progress;
progress progress_start(const args *a, const char *what);
progress progress_start_logged(const args *a, const char *what);
/* What comes next is news: a terminal shows it at once. */
void progress_now(progress *p);
/* Whether it is time to draw; the line goes to standard error between these two. */
bool progress_due(progress *p);
void progress_drawn(progress *p);
bool progress_tick(size_t done, size_t total,
                   void *p); /* an mn_progress_fn: true once interrupted */
void progress_end(progress *p);

/* The model of --model (pulled when it is a known name and absent), opened with --cpu, --rope-*,
 * --no-pack, --mem-limit. */
mn_status ui_open_model(const args *a, bool vocab_only, mn_model **out, mn_diag *diag);
/* --policy, --budget, --ctx, --chunk, --kv-type, --positions, --threads, --seed, --pin (pins:
 * static storage of the call). */
mn_status ui_session_params(const args *a, mn_session_params *out, mn_diag *diag);
enum { UI_POLICY_BYTES = 8192 }; /* room for mn_policy_name */
/* The same policy once the model is known: NAMMs that it does not name are found (find_namm.h) and
 * told of, and where such a one needs a budget and none was given, 25% is, and told of. *room: the
 * text, the caller's (free), outlives the session. */
mn_status ui_find_namm(const args *a, const mn_model *m, mn_session_params *p, char **room,
                       mn_diag *diag);
mn_status ui_sampler_params(const args *a, mn_sampler_params *out, char **grammar, mn_diag *diag);
/* Bytes from "2G", "512M", "100K", "123". */
mn_status ui_bytes(const char *text, const char *option, size_t *out, mn_diag *diag);
/* Bytes for people: "93.8 MB". buf at least 32. */
const char *ui_human(double bytes, char *buf);

/* The text of --system, --file and --prompt as tokens, through the chat template unless --raw:
 * what follows the session's tokens (s NULL: a new one). Owned by the caller, free. */
typedef struct prompt {
    int32_t *token;
    size_t n, n_replaced; /* pieces of invalid UTF-8 read as U+FFFD */
} prompt;
mn_status ui_prompt(const args *a, const mn_model *m, const mn_session *s, prompt *out,
                    mn_diag *diag);
/* One user turn; the first of a session also writes the system message. */
mn_status ui_turn(const args *a, const mn_model *m, const mn_session *s, const char *user,
                  prompt *out, mn_diag *diag);
/* Files of --file joined by blank lines, NUL-terminated, owned by the caller; "" when none. */
mn_status ui_read_files(const args *a, char **out, size_t *n, mn_diag *diag);
mn_status ui_tokenize(const mn_model *m, const char *text, size_t n, unsigned flags, prompt *out,
                      mn_diag *diag);

/* A JSON string of any bytes: those that are no UTF-8 become U+FFFD. NULL: no memory. */
json_t *ui_json_text(const char *text);
/* One document on standard output, an object; gets its version here; takes the reference. */
void ui_print_json(json_t *doc);

#endif
