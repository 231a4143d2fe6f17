/* status.c: names, texts and exit codes of what calls return, all from the one list in status.h. */
#include "mneme/status.h"

/* The build passes the content of VERSION, which is the one source. */
#ifndef MN_VERSION
#define MN_VERSION "0.0.0"
#endif

const char *mn_status_text(mn_status st)
{
    switch (st) {
#define X(name, code, text) \
    case MN_##name: return text;
        MN_STATUS_MAP(X)
#undef X
    case MN_STATUS_COUNT: break;
    }
    return "unknown status";
}

int mn_status_exit_code(mn_status st)
{
    switch (st) {
#define X(name, code, text) \
    case MN_##name: return code;
        MN_STATUS_MAP(X)
#undef X
    case MN_STATUS_COUNT: break;
    }
    return 1;
}

const char *mn_version(void)
{
    return MN_VERSION;
}
