// SPDX-License-Identifier: GPL-2.0-or-later
__asm__(".section .text.tiny,\"ax\",@progbits\n.globl tiny\n.type tiny,@function\ntiny: ret\n.size tiny,.-tiny\n"
	".globl other\n.type other,@function\nother: mov $1,%eax\nret\n.size other,.-other\n.text");
int tiny(void);
int main(int argc, char **argv) { (void)argv; return argc + tiny(); }
