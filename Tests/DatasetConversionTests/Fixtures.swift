/// Files of a small task, and what nnU-Net 2.8.1 (`convert_msd_dataset`, SimpleITK 2.5.7) makes of them: 4-D images of
/// random voxels, one int16 with swapped axes, one int16 with slope and intercept; gzip in base64.
enum Fixtures {
  static let swapped = """
    H4sIAAAAAAACA72PzyvDcRzGX2OIUkp20WpxWi52GNnluxIH20VSEnHQDg4TcnDRDi7KdZELilpO4w+wraYchgMXiSZaW8NFTsrjs/nRdnPyPL
    17+rzfz/vT856w8QcsYKfOVC012Mqshp2Wskass0zQCoVCFrj8kLSqffH+kuf70VQ9y/r5Z5TueLV7LVOJr06kpCbHdDmLueO3b+5KVKxWZHUl
    f/yVCHd5yprBJjenulRRvSroQEGbg1s96lgbulY3BU3xrBq26OFcL+ohRU55zRDTg8bw0Ug/uY8QuxpXO4NcKWr871pniFbmeNKefMZX1JEcNG
    gAD5OqZ0cBvNrXIIu4dSEXaW2zpk42ze6HbjSqGAHDeTpIKW64Rlgnypp/+ljViGDZzNu4l5O8hjlUM28mowMRNfTqTml5cWqJWVb0Cb/FPppQ
    AgAA
    """
  static let swappedVolumes = [
    """
    H4sIAAAAAAACA4thZCACFDEwM7AysABJRihEBSwMAmC6wf7sGR/7tLQ0ewYGBQdMczY4g9RAOVwMAwxA/vjMYmoPxPshIg0gGujuBLDbgf4A8R
    tA4kB/QdWA+AxIflM4AFOPDPK0DcH0GQbG/5oMJ/5f/v/6v/n/l/9X/fdhFGO4+//J/33/p/+/+d+A4eX/eIa3/5kYZjGYMZz7/+6/GcNBhmf/
    X/xPYVjx//H/CAYrBk4GZ4Zn/9IYFv6P+i/N4MZw5f9UoPrf/3sYvBiEGfIZ3vxf8t8KqO71/03/xRjY/7syGDIAAIaPiCPYAQAA
    """,
    """
    H4sIAAAAAAACA4thZCACFDEwM7AysABJRihEBSwMAmC6wf7sGR/7tLQ0ewYGBQdMczY4g9RAOVwMAwxA/vjMYmoPxPshIg0gGujuBLDbgf4A8R
    tA4kB/QdWA+AxIflM4AFOPDPK0DcF07H82hgX/vRlM/y/978ZQzKD5//x/BYYj/+czdP5XZpjxv4fh3//b/0P/r2DwBsJCBiWGg/83AGEnQ97/
    o/8f/BdjsGRo+R/8n4GhEigvyvDwvyzDi/+BDBv/8zJ8/W/GIMbwn2EqEJr+v/f/yH9TBtn/pQxZDHX/AftyhoPYAQAA
    """,
  ]

  static let scaled = """
    H4sIAAAAAAACA72RPyjEYRjHP8dZMEhXStIVm0kiEnd1g/8ZFAZKrs52g4Vu4GZSEiUmSTYuSjdcnAzkTyiLQW5gkMFAKLqvp5/UncnkeXt7nv
    d5vr3f7/M8Ay7+YKO4ybObSw4u52SbmyLHR31np52+UCjkA68fkr5sXCzwnfcn7ZGfXUv5+WfL7iNqWqN7FpiOIb/1sZdRc2Lr6yeXodXr4H//
    Ha6qdvy7jrSBh2Vt6UP3PKmQGj51x4nabWrNTCvGi3JZVVz1DNPBOC025x4aeVUrUUq4UQu7POpNz4rQpkrG2NQ8tRzLw4hx7LCuuLEFbRdeHa
    qYGUUMl1SfEurlUoMs2v5mNaG0+imljiuVWz6lSQV1oTmtKGCMFa4B9tVFBQmF2dZ5upsD40pqSkssGN8sBcaUbwpjaqKBB261pjauVcYXNAot
    SFACAAA=
    """
  static let scaledVolumes = [
    """
    H4sIAAAAAAACA8VPMUtCURT+HimSlBk0NL5dCFzMIXjXd6XJwDkidHlL0CAObZ6fIBi09ROiJXTzPm+j7tEUIk3+gba+d32B2tLWeZx3vnu+j3
    POd+XhD9HBDrLI8O+l32YU4bsqwWzaCKIoCgBf/Z7zrBNN+sjjn2PTR3KXjAl4d0vRx3iNc5i+fnpr3nyn3559WyqnaBQDBxZ4o/ezENIjPmfe
    xWgV6kBlQq4GfIVAM4bZr0Ny5CvUH7F3rGEGFvLOd4bavoLckD9l7rLX0ZAq8555ot1t0iAuEn9wd5n4kfiSs14mK82Sec1ZU/IF1gcN9cl5Ty
    HUgPoL7huyetTlrbvbGLvyMWe/TX6hnTfpJnsUzN4r5NB+A9C8Z+NQAgAA
    """,
    """
    H4sIAAAAAAACA8WQMUsDQRCFXzA22qSxsjnQQhCLIHbKbXbtTGkjpAhIrhSxstxKBRG08A+ICEGQYKOFcMldLATt/AHBf2Bj7Zf1hEQbO+eYmz
    dvZmffbKOkP9ieJjSpMv9S8Y1bRVGIPn55rsdJksRSZH7P6bhhT5FM6Z9tfI+hLp8C0N007JGO1AJmr29uZLco9P+cvbNYLdCClTnLpTZ+Y6W5
    XN1X8BK+yXu8Z/ItJ/8APjXyJ/CXuHrSFtw+Z8rEt4y6Df26ytS9YM4jfR/kx7n8Lj5P36CnaGVd2mZmBLcG17Zf9x3BuVzNuC9vwbPU71zQpH
    M8dTKHxFUrfwvfr0n36OjU5OvkG/TPcG7aaVDhjmu0J3DL1J7QcWA/AVPDVTVQAgAA
    """,
  ]

  static let description = """
    {"name": "PROSTATE", "description": "Prostate \\u00e4", "tensorImageSize": "4D", \
    "modality": {"0": "T2", "1": "ADC"}, "labels": {"0": "background", "1": "PZ", "2": "TZ"}, \
    "numTraining": 6, "numTest": 2, "training": [{"image": "a", "label": "b"}], "test": ["x"]}
    """
  static let convertedDescription = """
    {
        "name": "PROSTATE",
        "description": "Prostate \\u00e4",
        "tensorImageSize": "4D",
        "labels": {
            "background": 0,
            "PZ": 1,
            "TZ": 2
        },
        "numTraining": 6,
        "numTest": 2,
        "file_ending": ".nii.gz",
        "channel_names": {
            "0": "T2",
            "1": "ADC"
        }
    }
    """

  /// The same for a data set of nnU-Net 1.
  static let oldDescription = """
    {"name": "H", "tensorImageSize": "4D", "modality": {"0": "MRI"}, \
    "labels": {"0": "background", "2": "Posterior", "1": "Anterior"}, \
    "numTraining": 4, "numTest": 0, "training": [], "test": [], "x": [1.5, null]}
    """
  static let convertedOldDescription = """
    {
        "name": "H",
        "labels": {
            "background": 0,
            "Posterior": 2,
            "Anterior": 1
        },
        "numTraining": 4,
        "x": [
            1.5,
            null
        ],
        "channel_names": {
            "0": "MRI"
        },
        "file_ending": ".nii.gz"
    }
    """
}
