/** @peculiar/x509 with what it needs to find before it. It takes 0.1 s and some MB: only for those who make certificates. */
import 'reflect-metadata'

export * from '@peculiar/x509'
