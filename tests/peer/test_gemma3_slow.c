/* test_gemma3_slow.c: Gemma-3-270m against llama_decode. */
#include "agree.h"

int main(void)
{
    return agree_main("gemma3");
}
