/* test_gemma3_slow.c: Gemma-3-270m against llama_decode. Its vocabulary makes this the longest test;
 * the levels are compared on the smaller model. */
#include "agree.h"

int main(void)
{
    return agree_main("gemma3", false);
}
