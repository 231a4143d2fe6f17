/* documents.c: a window over the unpacked bytes of one file at a time. Whatever enters the window
 * has been checked; a part is cut from its beginning. */
#include "train/documents.h"

#include <jansson.h>
#include <string.h>

#include "base/diag.h"
#include "base/file.h"
#include "base/heap.h"
#include "base/unpack.h"
#include "text/utf8.h"

#define DOCUMENT_END "<|endoftext|>"
enum {
    MARK_BYTES = sizeof DOCUMENT_END - 1,
    READ_BYTES = 1 << 16,
    PART_MIN = 64, /* a line that ends a document must fit */
    PART_BYTES = 1 << 20,
    LINE_BYTES = 64 << 20,
    NAME_BYTES = 1024 /* of a document, that say which side it is on */
};

struct mn__documents {
    char **path;
    size_t n_path, i_path;
    char *field;
    size_t part_bytes, line_bytes;
    double held_share;
    bool tells_held;
    bool (*stop)(void *ctx, uint64_t n_read);
    void *ctx;
    uint64_t n_read;  /* of the files before this one */
    bool is_passed;   /* the document is on the other side */
    mn__unpack *file; /* NULL: between two files */
    bool is_lines, read_all;
    mn__utf8_gate gate;
    uint64_t n_byte, n_line; /* of the file: bytes checked, line breaks among them */
    uint64_t i_line;         /* of JSON lines: taken so far */
    char *window;            /* [room] of the file; [at, n) is still to be told */
    size_t room, n, at;
    bool at_line; /* `at` begins a line */
    json_t *object;
    const char *text; /* [n_text] of the object, still to be told */
    size_t n_text;
    bool is_open;  /* a part of the document was told */
    bool has_text; /* the file has a document */
};

const char *mn__documents_path(const mn__documents *d)
{
    return d->path[d->i_path < d->n_path ? d->i_path : d->n_path - 1];
}

mn_status mn__documents_open(mn__documents **out, const char *const *path, size_t n_path,
                             const mn__documents_params *params, mn_diag *diag)
{
    const mn__documents_params p = params ? *params : (mn__documents_params){0};
    *out = NULL;
    if (!n_path) return mn__fail(diag, MN_EUSAGE, "a file of text wanted, none given");
    if (p.part_bytes && p.part_bytes < PART_MIN)
        return mn__fail(diag, MN_EUSAGE, "parts of %d bytes at least wanted, %zu found", PART_MIN,
                        p.part_bytes);
    mn__documents *d = mn__alloc_zero(MN_MEM_OTHER, sizeof *d);
    if (!d) goto done;
    d->part_bytes = p.part_bytes ? p.part_bytes : PART_BYTES;
    d->line_bytes = p.line_bytes ? p.line_bytes : LINE_BYTES;
    d->held_share = p.held_share;
    d->tells_held = p.tells_held;
    d->stop = p.stop;
    d->ctx = p.ctx;
    d->field = mn__strdup(p.field ? p.field : "text");
    d->path = mn__alloc_array(MN_MEM_OTHER, n_path, sizeof *d->path);
    if (!d->field || !d->path) goto done;
    for (; d->n_path < n_path; d->n_path++) {
        d->path[d->n_path] = mn__strdup(path[d->n_path]);
        if (!d->path[d->n_path]) goto done;
    }
    *out = d;
    return MN_OK;
done:
    mn__documents_close(d);
    return mn__fail(diag, MN_ENOMEM, "no memory to read documents");
}

static void close_file(mn__documents *d)
{
    if (d->file) d->n_read += mn__unpack_n_read(d->file);
    mn__unpack_close(d->file);
    d->file = NULL;
    json_decref(d->object);
    d->object = NULL;
}

void mn__documents_close(mn__documents *d)
{
    if (!d) return;
    close_file(d);
    for (size_t i = 0; i < d->n_path; i++) mn__free(d->path[i]);
    mn__free(d->path);
    mn__free(d->field);
    mn__free(d->window);
    mn__free(d);
}

/* ---- bytes ---- */

static bool ends_in(const char *path, size_t n, const char *end)
{
    size_t n_end = strlen(end);
    return n >= n_end && memcmp(path + n - n_end, end, n_end) == 0;
}

static bool has_json_lines(const char *path)
{
    size_t n = strlen(path);
    if (ends_in(path, n, ".xz")) n -= 3;
    if (ends_in(path, n, ".zst")) n -= 4;
    return ends_in(path, n, ".jsonl");
}

static mn_status open_file(mn__documents *d, mn_diag *diag)
{
    mn_status st = mn__unpack_open(&d->file, mn__documents_path(d), 0, diag);
    if (st != MN_OK) return st;
    d->is_lines = has_json_lines(mn__documents_path(d));
    d->read_all = d->is_open = d->has_text = false;
    d->at_line = true;
    d->gate = (mn__utf8_gate){0};
    d->n_byte = d->n_line = d->i_line = 0;
    d->n = d->at = 0;
    return MN_OK;
}

static mn_status bad_bytes(const mn__documents *d, const char *found, mn_diag *diag)
{
    return mn__fail(diag, MN_EINPUT, "%s: line %llu, byte %llu: text in UTF-8 wanted, %s found",
                    mn__documents_path(d), (unsigned long long)d->n_line + 1,
                    (unsigned long long)(d->n_byte - d->gate.n_held + 1), found);
}

static mn_status check_bytes(mn__documents *d, const char *s, size_t n, mn_diag *diag)
{
    char out[MN__UTF8_BOUND(1)];
    for (size_t i = 0; i < n; i++, d->n_byte++) {
        mn__utf8_gate before = d->gate;
        if (!s[i]) return bad_bytes(d, "a NUL byte", diag);
        if ((unsigned char)s[i] < 0x80 && !before.n_held) {
            d->n_line += s[i] == '\n';
            continue;
        }
        mn__utf8_gate_push(&d->gate, s + i, 1, out);
        if (!d->gate.n_replaced) continue;
        d->gate = before; /* the sentence points to the character's first byte */
        return bad_bytes(d, "other bytes", diag);
    }
    return MN_OK;
}

/* Room for `more` bytes behind the window's end. */
static mn_status make_room(mn__documents *d, size_t more, mn_diag *diag)
{
    if (d->at) memmove(d->window, d->window + d->at, d->n - d->at);
    d->n -= d->at;
    d->at = 0;
    if (d->room - d->n >= more) return MN_OK;
    size_t room = d->room ? d->room : READ_BYTES;
    while (room - d->n < more) room *= 2;
    char *window = mn__alloc(MN_MEM_OTHER, room);
    if (!window)
        return mn__fail(diag, MN_ENOMEM, "%s: no memory to read it", mn__documents_path(d));
    if (d->n) memcpy(window, d->window, d->n);
    mn__free(d->window);
    d->window = window;
    d->room = room;
    return MN_OK;
}

static mn_status read_on(mn__documents *d, mn_diag *diag)
{
    size_t n;
    mn_status st = make_room(d, READ_BYTES, diag);
    if (d->stop && d->stop(d->ctx, d->n_read + mn__unpack_n_read(d->file)))
        return mn__fail(diag, MN_ECANCEL, "%s: stopped reading it", mn__documents_path(d));
    if (st == MN_OK) st = mn__unpack_read(d->file, d->window + d->n, READ_BYTES, &n, diag);
    if (st == MN_OK) st = check_bytes(d, d->window + d->n, n, diag);
    if (st != MN_OK) return st;
    d->n += n;
    d->read_all = n == 0;
    if (d->read_all && d->gate.n_held) return bad_bytes(d, "the file's end", diag);
    return MN_OK;
}

/* ---- parts ---- */

/* Length of the part that begins a text of n bytes, of which `most` at most are told. */
static size_t cut(const char *text, size_t n, size_t most)
{
    if (n <= most) return n;
    for (size_t i = most; i > 0; i--) /* in front of all breaks of a run, not between them */
        if (text[i] == '\n' && text[i - 1] != '\n') return i;
    for (size_t i = most; i > 0; i--)
        if (text[i] == ' ' && text[i - 1] != ' ') return i;
    while (((unsigned char)text[most] & 0xC0) == 0x80) most--;
    return most;
}

/* What `is_open` and the part's length make of it. false: a document without text. */
static bool tell(mn__documents *d, mn__document_part *out, const char *text, size_t n, bool ends)
{
    *out = (mn__document_part){.text = text, .n = n, .begins = !d->is_open, .ends = ends};
    bool told = n || (ends && d->is_open);
    if (n) d->is_open = d->has_text = true;
    if (ends) d->is_open = false;
    return told;
}

static size_t trim_end(const char *text, size_t n)
{
    while (n && (text[n - 1] == '\n' || text[n - 1] == '\r')) n--;
    return n;
}

static size_t trim_begin(const char *text, size_t n)
{
    size_t i = 0;
    while (i < n && (text[i] == '\n' || text[i] == '\r')) i++;
    return i;
}

/* Does a line that ends documents begin here? Bytes of it with its break; 0: no. is_all: nothing
 * stands behind the n bytes. */
static size_t mark_at(const char *s, size_t n, bool is_all)
{
    size_t i = MARK_BYTES;
    if (n < MARK_BYTES || memcmp(s, DOCUMENT_END, MARK_BYTES) != 0) return 0;
    if (i < n && s[i] == '\r') i++;
    if (i == n) return is_all ? n : 0;
    return s[i] == '\n' ? i + 1 : 0;
}

/* Where the next such line begins in the first n bytes that are held, or n. A line that is not held
 * whole does not begin there: cut() leaves it for the next part. */
static size_t find_mark(const mn__documents *d, size_t n, size_t *mark)
{
    const char *s = d->window + d->at;
    size_t i = 0;
    if (!d->at_line) {
        const char *end = memchr(s, '\n', n);
        i = end ? (size_t)(end - s) + 1 : n;
    }
    while (i < n) {
        *mark = mark_at(s + i, d->n - d->at - i, d->read_all);
        if (*mark) return i;
        const char *end = memchr(s + i, '\n', n - i);
        i = end ? (size_t)(end - s) + 1 : n;
    }
    *mark = 0;
    return n;
}

static mn_status next_of_text(mn__documents *d, mn__document_part *out, bool *found, mn_diag *diag)
{
    mn_status st = MN_OK;
    while (!*found && st == MN_OK) {
        while (!d->read_all && d->n - d->at <= d->part_bytes && st == MN_OK) st = read_on(d, diag);
        if (st != MN_OK) return st;
        if (d->at == d->n && !d->is_open) return MN_OK;
        size_t mark = 0, held = d->n - d->at, n = cut(d->window + d->at, held, d->part_bytes);
        size_t n_text = find_mark(d, n, &mark);
        bool ends = mark || (d->read_all && n == held);
        const char *text = d->window + d->at;
        d->at += n_text + mark;
        d->at_line = mark || (n_text && text[n_text - 1] == '\n');
        size_t skip = d->is_open ? 0 : trim_begin(text, n_text);
        if (ends) n_text = skip + trim_end(text + skip, n_text - skip);
        *found = tell(d, out, text + skip, n_text - skip, ends);
    }
    return st;
}

/* ---- JSON lines ---- */

static mn_status bad_line(const mn__documents *d, const char *found, mn_diag *diag)
{
    return mn__fail(diag, MN_EINPUT,
                    "%s: line %llu: a JSON object with a text under \"%s\" wanted, %s found",
                    mn__documents_path(d), (unsigned long long)d->i_line, d->field, found);
}

static mn_status read_object(mn__documents *d, const char *line, size_t n, mn_diag *diag)
{
    json_error_t error;
    d->object = json_loadb(line, n, JSON_REJECT_DUPLICATES, &error);
    if (!d->object) {
        mn__make_printable(error.text, '?');
        return mn__fail(diag, MN_EINPUT, "%s: line %llu: a JSON object wanted: %s",
                        mn__documents_path(d), (unsigned long long)d->i_line, error.text);
    }
    if (!json_is_object(d->object)) return bad_line(d, "another value", diag);
    const json_t *text = json_object_get(d->object, d->field);
    if (!text) return bad_line(d, "no such key", diag);
    if (!json_is_string(text)) return bad_line(d, "something else under it", diag);
    d->text = json_string_value(text);
    d->n_text = trim_end(d->text, json_string_length(text));
    size_t skip = trim_begin(d->text, d->n_text);
    d->text += skip;
    d->n_text -= skip;
    return MN_OK;
}

/* The next line that is not blank; none: the object stays NULL. */
static mn_status next_object(mn__documents *d, mn_diag *diag)
{
    mn_status st = MN_OK;
    size_t seen = 0; /* of the line: no break there */
    while (st == MN_OK && !d->object) {
        const char *line = d->window + d->at;
        size_t held = d->n - d->at;
        const char *end = held > seen ? memchr(line + seen, '\n', held - seen) : NULL;
        if (!end && !d->read_all) {
            seen = held;
            if (held > d->line_bytes)
                return mn__fail(
                    diag, MN_EINPUT, "%s: line %llu: at most %zu bytes wanted, more found",
                    mn__documents_path(d), (unsigned long long)d->i_line + 1, d->line_bytes);
            st = read_on(d, diag);
            continue;
        }
        if (!held) return MN_OK;
        size_t n = end ? (size_t)(end - line) : held, blank = 0;
        d->at += end ? n + 1 : n;
        d->i_line++;
        seen = 0;
        while (blank < n && strchr(" \t\r", line[blank])) blank++;
        if (blank < n) st = read_object(d, line, n, diag);
    }
    return st;
}

static mn_status next_of_lines(mn__documents *d, mn__document_part *out, bool *found, mn_diag *diag)
{
    while (!*found) {
        if (d->object && !d->is_open && !d->n_text) {
            json_decref(d->object);
            d->object = NULL;
        }
        if (!d->object) {
            mn_status st = next_object(d, diag);
            if (st != MN_OK || !d->object) return st;
        }
        const char *text = d->text;
        size_t n = cut(text, d->n_text, d->part_bytes);
        d->text += n;
        d->n_text -= n;
        *found = tell(d, out, text, n, !d->n_text);
    }
    return MN_OK;
}

/* A part of any document. */
static mn_status next_part(mn__documents *d, mn__document_part *out, bool *found, mn_diag *diag)
{
    *found = false;
    while (d->i_path < d->n_path) {
        mn_status st = d->file ? MN_OK : open_file(d, diag);
        if (st == MN_OK)
            st = d->is_lines ? next_of_lines(d, out, found, diag)
                             : next_of_text(d, out, found, diag);
        if (st != MN_OK || *found) return st;
        if (!d->has_text)
            return mn__fail(diag, MN_EINPUT, "%s: a text wanted, none found",
                            mn__documents_path(d));
        close_file(d);
        d->i_path++;
    }
    return MN_OK;
}

/* Is the document that the part begins on the side that is not told? */
static bool is_other_side(const mn__documents *d, const mn__document_part *part)
{
    static const double range = 18446744073709551616.0; /* 2^64 */
    if (!(d->held_share > 0)) return false;
    const size_t n = part->n < NAME_BYTES ? part->n : NAME_BYTES;
    return ((double)mn__hash64(part->text, n, 0) / range < d->held_share) != d->tells_held;
}

mn_status mn__documents_next(mn__documents *d, mn__document_part *out, bool *found, mn_diag *diag)
{
    for (;;) {
        const mn_status st = next_part(d, out, found, diag);
        if (st != MN_OK || !*found) return st;
        if (out->begins) d->is_passed = is_other_side(d, out);
        if (!d->is_passed) return MN_OK;
    }
}
