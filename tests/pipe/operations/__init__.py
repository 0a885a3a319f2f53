"""Operations on a running gateway, and on its folder while none runs."""
