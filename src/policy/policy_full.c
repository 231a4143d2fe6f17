/* policy_full.c: nothing is ever dropped: the baseline of every table. Needs: nothing. Cost: none.
 */
#include "policy/policy_kind.h"

const mn__policy_kind mn__kind_full = {0};
