# ruff: noqa: SIM905 - three lines are easier to read than ninety strings
"""Names that are worth a look: which suffixes a scan opens. What a file is, its content decides."""

IMAGE_SUFFIXES = frozenset(
    """
    .apng .avif .avifs .blp .bmp .bw .cur .dcx .dds .dib .fit .fits .flc .fli .ftc .ftu .gbr .gif .heic .heics .heif
    .heifs .hif .icb .icns .ico .iim .im .j2c .j2k .jfif .jp2 .jpc .jpe .jpeg .jpf .jpg .jpx .mpo .msp .pbm .pcd .pcx
    .pfm .pgm .png .pnm .ppm .psd .pxr .qoi .ras .rgb .rgba .sgi .tga .tif .tiff .vda .vst .webp .xbm .xpm
    """.split()
)
"""Suffixes of pictures, lower case with the dot: all that Pillow opens by itself, and HEIF."""

VIDEO_SUFFIXES = frozenset(
    """
    .3g2 .3gp .asf .avi .divx .f4v .flv .m2ts .m4v .mkv .mov .mp4 .mpeg .mpg .mts .mxf .ogv .rm .rmvb .ts .vob .webm
    .wmv .y4m
    """.split()
)
"""Suffixes of videos, lower case with the dot."""

MEDIA_SUFFIXES = IMAGE_SUFFIXES | VIDEO_SUFFIXES
