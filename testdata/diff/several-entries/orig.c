// SPDX-License-Identifier: GPL-2.0-or-later

int parse(int a) { a %= 37; __asm__(".globl inner\ninner: nop" : "+r"(a)); return a * 3; }

int main(int argc, char **argv) { return parse(argc); }
