// Service auth: the short-lived token with which a DID's own key vouches for one call.
import { randomBytes } from 'node:crypto'
import { call } from './network.mjs'

const encode = (value) => Buffer.from(typeof value === 'string' ? value : JSON.stringify(value)).toString('base64url')

export const serverDid = async () => (await call('GET', 'com.atproto.server.describeServer')).body.did

export async function serviceToken({ did, keypair, lxm = 'com.atproto.server.createAccount', aud, lifetimeSecs = 60 }) {
  const now = Math.floor(Date.now() / 1000)
  const header = { typ: 'JWT', alg: keypair.jwtAlg }
  const claims = {
    iat: now,
    exp: now + lifetimeSecs,
    iss: did,
    aud: aud ?? (await serverDid()),
    lxm,
    jti: randomBytes(16).toString('hex'),
  }
  const signed = `${encode(header)}.${encode(claims)}`
  const signature = await keypair.sign(Buffer.from(signed))
  return `${signed}.${Buffer.from(signature).toString('base64url')}`
}
